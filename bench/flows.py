"""What workflows cost under gigqd beside as many independent jobs, in one run.

    .venv/bin/python bench/flows.py --jobs 10000 --rounds 3 [other checkouts with a .venv]

A daemon with two workers runs jobs that do nothing: independent ones; one chain; a hundred chains
beside each other; a fan-out from one job to many and back to one. Each is timed from the return of
the submit to the end of the last job.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING

from rig import CONFIG_OF_WORKERS, in_turns, machine, running_daemon

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = 100
PAUSE = 0.02
WARM = 4000


def nothing() -> None:
    """The job."""


def independent(count: int) -> list[Job]:
    """Jobs that wait for nothing."""
    from flows import nothing as function  # by its importable name, not as __main__

    return [Job("job", function) for _ in range(count)]


def chain(count: int) -> list[Job]:
    """Each waits for the one before."""
    return linked(count, 1)


def chains(count: int) -> list[Job]:
    """Many chains beside each other."""
    return linked(count, CHAINS)


def linked(count: int, beside: int) -> list[Job]:
    """Jobs that wait for the one so many places before."""
    jobs = independent(count)
    for parent, job in itertools.islice(zip(jobs, jobs[beside:], strict=False), count):
        job.dependencies = [parent.id]
    return jobs


def fan(count: int) -> list[Job]:
    """A job, half as many as are asked for that wait for it, and one that waits for all these."""
    first, *middle, last = jobs = independent(count // 2 + 2)
    for job in middle:
        job.dependencies = [first.id]
    last.dependencies = [job.id for job in middle]
    return jobs


SHAPES = {f.__name__: f for f in (independent, chain, chains, fan)}


def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help="one round, printed as JSON")
    parser.add_argument("others", nargs="*", help="other checkouts to measure in turns with this")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.jobs)))
        return
    print(machine())
    for tree, rounds in in_turns(__file__, options.others, options.rounds).items():
        rates = {name: statistics.median(one[name] for one in rounds) for name in SHAPES}
        told = (f"{n} {r:,.0f}/s (cost {rates['independent'] / r:.2f})" for n, r in rates.items())
        print(f"{tree}: {'; '.join(told)}")


def measure(count: int) -> dict[str, float]:
    """Jobs a second of every shape."""
    text = CONFIG_OF_WORKERS.format(workers=2, durability="normal") + '[log]\nlevel = "warning"\n'
    rates = {}
    with running_daemon(text) as config:
        file = config.with_name("jobs.db")
        queue = JobQueue(file)
        timed(queue, file, independent(WARM))
        for name, shape in SHAPES.items():
            rates[name] = timed(queue, file, shape(count))
    return rates


def timed(queue: JobQueue, file: Path, jobs: list[Job]) -> float:
    """Submit jobs and wait until the last of them is over; jobs a second."""
    queue.submit_many(jobs)
    began = time.perf_counter()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as look:
        while look.execute(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE status IN ('pending', 'running'))"
        ).fetchone()[0]:
            time.sleep(PAUSE)
    return len(jobs) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
