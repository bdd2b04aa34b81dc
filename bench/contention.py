"""How long a submit takes while workers drain without pause, how evenly they share the jobs, and
how long the write-ahead log gets.

    .venv/bin/python bench/contention.py --rounds 3
    .venv/bin/python bench/contention.py --rounds 3 /path/to/another/checkout

Every round runs this checkout and each of the others in turn, with their own `.venv`: a daemon
with a full queue of jobs that do nothing, a process that submits one job every few ms, and so many
readers as are asked for, each of which holds one snapshot of 50 ms after another.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from figures import median, quantile, spread
from rig import CONFIG_OF_WORKERS, in_turns, machine, running_daemon

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_PAUSE = 0.006


def nothing() -> None:
    """A job."""


def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("others", nargs="*", help="other checkouts to measure in the same run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--durability", default="normal", choices=["normal", "full"])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--jobs", type=int, default=150_000)
    parser.add_argument("--readers", type=int, default=0)
    parser.add_argument("--once", action="store_true", help="measure this checkout, print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measured(options)))
        return
    print(
        f"{machine()}; {options.workers} workers, {options.readers} readers, "
        f"durability {options.durability}"
    )
    print(
        f"{'jobs/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'uneven':>7} {'log MB':>7}  "
        "checkout"
    )
    for tree, rounds in in_turns(__file__, options.others, options.rounds).items():
        names = ("rate", "p50", "p99", "max", "uneven")
        row = [median([found[name] for found in rounds]) for name in names]
        row[3] = max(found["max"] for found in rounds)
        log = max(found["log"] for found in rounds)
        print(
            f"{row[0]:8.0f} {row[1]:8.2f} {row[2]:8.2f} {row[3]:8.2f} {row[4]:7.2f} {log:7.1f}  "
            f"{tree}"
        )


def measured(options: argparse.Namespace) -> dict[str, float]:
    """One round: the latencies of submits in ms, jobs a second, the spread between workers."""
    text = CONFIG_OF_WORKERS.format(workers=options.workers, durability=options.durability)
    with running_daemon(text) as config:
        queue = JobQueue(config.parent / "jobs.db")
        queue.submit_many([Job("n", nothing) for _ in range(options.jobs)])
        time.sleep(0.2)
        before, began = ended(queue.db_path), time.monotonic()
        with readers(queue.db_path, options.readers):
            taken, log = submits(queue, options.seconds)
        seconds = time.monotonic() - began
        jobs = {name: n - before.get(name, 0) for name, n in ended(queue.db_path).items()}
        left = queue.stats()["pending"]
        queue.close()
    assert left, "the queue ran dry: give it more --jobs, or fewer --seconds"
    return {
        "rate": sum(jobs.values()) / seconds,
        "p50": quantile(taken, 0.5),
        "p99": quantile(taken, 0.99),
        "max": max(taken),
        "uneven": spread(list(jobs.values())),
        "log": log,
    }


@contextmanager
def readers(path: Path, count: int) -> Iterator[None]:
    """So many processes that read, and hold what they have seen for 50 ms."""
    processes = [
        multiprocessing.Process(target=read, args=(os.fspath(path),), daemon=True)
        for _ in range(count)
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def read(path: str) -> None:
    """Read for ever."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    while True:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM (SELECT 1 FROM jobs LIMIT 1)").fetchone()
        time.sleep(0.050)
        connection.execute("COMMIT")


def submits(queue: JobQueue, seconds: float) -> tuple[list[float], float]:
    """Submit one job now and then; how long each took, in ms, and the longest log, in MB."""
    taken, longest = [], 0
    log = Path(f"{queue.db_path}-wal")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - out of step with the workers
        job = Job("s", nothing)
        began = time.monotonic()
        queue.submit(job)
        taken.append((time.monotonic() - began) * 1000)
        longest = max(longest, log.stat().st_size)
    return taken, longest / 1e6


def ended(path: Path) -> dict[str, int]:
    """How many jobs each worker has ended."""
    sql = "SELECT worker_id, count(*) FROM job_executions WHERE status <> 'running' GROUP BY 1"
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute(sql).fetchall())


if __name__ == "__main__":
    main()
