"""What a submit costs beside raw SQLite on the very same schema, as ratios of one run.

    .venv/bin/python bench/submit.py --rounds 5

Every round runs the floors and gigq in turn, each on a new database: single rows, each committed
with synchronous=FULL; one executemany of many rows with time-ordered ids; then submit, submit_many,
and workflows (a chain, and a fan-out from one job to many and back to one), submitted and then
released parent by parent in the store.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rig import machine

from gigq import Job, JobQueue, Workflow
from gigq.model.clock import utc_now
from gigq.model.ids import new_id
from gigq.store.database import Database
from gigq.store.sqlite.connections import open_connection
from gigq.store.verbs import dependents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMNS = (
    *("id", "name", "queue", "priority", "created_at", "updated_at", "max_attempts", "timeout"),
    *("retry_delay", "on_parent_failure", "function_module", "function_name", "dependencies"),
    *("description", "params"),
)
INSERT = f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--singles", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=50_000)
    parser.add_argument("--workflows", type=int, nargs="*", default=[1000, 5000, 10_000])
    options = parser.parse_args()
    ways: dict[str, Callable[[Path], float]] = {
        "raw durable commits": lambda file: raw_commits(file, options.singles),
        "submit": lambda file: submits(file, options.singles),
        "raw executemany": lambda file: raw_batch(file, options.batch),
        "submit_many": lambda file: batch(file, options.batch),
        "submit_many and Job()": lambda file: made_and_submitted(file, options.batch),
    }
    for size in options.workflows:
        for shape in (independent, chain, fan):
            name = f"{shape.__name__} {size}"
            ways[f"submit {name}"] = lambda file, n=size, shape=shape: workflow(file, shape(n))
            ways[f"release {name}"] = lambda file, n=size, shape=shape: released(file, shape(n))
    report(measured(ways, options.rounds))


def measured(ways: dict[str, Callable[[Path], float]], rounds: int) -> dict[str, list[float]]:
    """Jobs a second of every way in every round."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(way(Path(folder, "jobs.db")))
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """Print the medians, and what gigq reaches of its floors in the same rounds."""
    print(machine())
    print(f"{'':28}{'jobs/s':>10}{'least':>10}{'most':>10}")
    for name, values in rates.items():
        row = (statistics.median(values), min(values), max(values))
        print(f"{name:28}{row[0]:10,.0f}{row[1]:10,.0f}{row[2]:10,.0f}")
    for ours, floor in (("submit", "raw durable commits"), ("submit_many", "raw executemany")):
        ratios = [a / b for a, b in zip(rates[ours], rates[floor], strict=True)]
        print(f"{ours}: {statistics.median(ratios):.2f} of {floor}")


def nothing(n: int = 0) -> None:
    """The job."""


@contextlib.contextmanager
def raw(file: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection to a new database with the queue's schema, durable at every commit."""
    JobQueue(file).close()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    with contextlib.closing(connection):
        yield connection


def raw_row() -> tuple[object, ...]:
    """The columns that a plain job sets."""
    now = utc_now()
    texts = ("fail", __name__, "nothing", "[]", "", '{"n": 1}')
    return (new_id(), "job", "default", 0, now, now, 3, 300, 0, *texts)


def raw_commits(file: Path, count: int) -> float:
    """Single rows, each in a durable transaction of its own."""
    rows = [raw_row() for _ in range(count)]
    with raw(file) as connection, rate_of(count) as rate:
        for row in rows:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(INSERT, row)
            connection.execute("COMMIT")
    return rate()


def raw_batch(file: Path, count: int) -> float:
    """Many rows in one durable transaction."""
    rows = [raw_row() for _ in range(count)]
    with raw(file) as connection, rate_of(count) as rate:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")
    return rate()


def submits(file: Path, count: int) -> float:
    """One `submit()` after the other."""
    jobs = independent(count)
    with opened(file) as queue, rate_of(count) as rate:
        for job in jobs:
            queue.submit(job)
    return rate()


def batch(file: Path, count: int) -> float:
    """One `submit_many()` of jobs that are made already."""
    return workflow(file, independent(count))


def made_and_submitted(file: Path, count: int) -> float:
    """The same, with the making of the jobs."""
    with opened(file) as queue, rate_of(count) as rate:
        queue.submit_many(independent(count))
    return rate()


def workflow(file: Path, jobs: list[Job]) -> float:
    """One workflow, submitted."""
    made = Workflow("bench")
    for job in jobs:
        made.add_job(job)
    with opened(file) as queue, rate_of(len(jobs)) as rate:
        made.submit_all(queue)
    return rate()


def released(file: Path, jobs: list[Job]) -> float:
    """What the ends of a workflow's jobs do to their dependents, in one transaction."""
    with opened(file) as queue:
        queue.submit_many(jobs)
        database = Database(lambda: open_connection(file))
        with rate_of(len(jobs)) as rate, database.transaction(durable=False) as session:
            for job in jobs:
                dependents.release(session, job.id)
    return rate()


def independent(count: int) -> list[Job]:
    """Jobs that wait for nothing."""
    return [Job("job", nothing, params={"n": n}) for n in range(count)]


def chain(count: int) -> list[Job]:
    """Jobs of which each waits for the one before it."""
    jobs = independent(count)
    for parent, job in itertools.pairwise(jobs):
        job.dependencies = [parent.id]
    return jobs


def fan(count: int) -> list[Job]:
    """A job, many that wait for it, and one that waits for all of these."""
    jobs = independent(count)
    first, *middle, last = jobs
    for job in middle:
        job.dependencies = [first.id]
    last.dependencies = [job.id for job in middle]
    return jobs


@contextlib.contextmanager
def opened(file: Path) -> Iterator[JobQueue]:
    """A new queue with its connection open."""
    queue = JobQueue(file)
    queue.stats()
    yield queue
    queue.close()


@contextlib.contextmanager
def rate_of(count: int) -> Iterator[Callable[[], float]]:
    """A function that says, after the block, how many a second it did."""
    began = time.perf_counter()
    ended = [began]
    yield lambda: count / (ended[0] - began)
    ended[0] = time.perf_counter()


if __name__ == "__main__":
    main()
