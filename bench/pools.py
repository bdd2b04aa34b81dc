"""Latency with several pools that serve different queues, beside one pool that serves all.

    .venv/bin/python bench/pools.py --jobs 500 --rounds 3

In each round a daemon with 1, 2 and 5 pools runs in turn, each with as many workers in all. Jobs go
to the queues by turns. The time is from the return of `submit` to the first line of the function.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from typing import TYPE_CHECKING

from figures import median, quantile
from latency import began
from rig import DAEMON, QUEUE, machine, running_daemon

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 10
POOLS = (1, 2, 5)
_OUT_OF_STEP = 0.004


def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, list[list[float]]] = {pools: [] for pools in POOLS}
    for _ in range(options.rounds):
        for pools, rounds in found.items():
            rounds.append(measured(pools, options.jobs))
    print(f"{machine()}; {WORKERS} workers, {options.rounds} rounds of {options.jobs} jobs; ms")
    print(f"{'pools':>5} {'p50':>8} {'p99':>8} {'longest':>8} {'p99 / p99 of 1 pool':>20}")
    base = median([quantile(times, 0.99) for times in found[1]])
    for pools, rounds in found.items():
        p50, p99 = (median([quantile(times, share) for times in rounds]) for share in (0.5, 0.99))
        longest = max(max(times) for times in rounds)
        print(f"{pools:5} {p50:8.2f} {p99:8.2f} {longest:8.2f} {p99 / base:20.2f}")


def configuration(pools: int) -> str:
    """A configuration with so many pools, one for each queue; one pool serves every queue."""
    queues = ['["*"]'] if pools == 1 else [f'["q{number}"]' for number in range(pools)]
    return "".join(
        [DAEMON, QUEUE]
        + [
            f"[pools.p{number}]\nsize = {WORKERS // pools}\nqueues = {served}\n"
            for number, served in enumerate(queues)
        ]
    )


def measured(pools: int, jobs: int) -> list[float]:
    """The time of each job, in ms."""
    with running_daemon(configuration(pools)) as config:
        queue = JobQueue(config.parent / "jobs.db")
        fifo = config.parent / "began"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR)
        times = [one(queue, fifo, reader, f"q{number % pools}") for number in range(jobs + 20)]
        os.close(reader)
        queue.close()
    return times[20:]


def one(queue: JobQueue, fifo: Path, reader: int, name: str) -> float:
    """Submit a job and wait until it has begun; ms from the return of `submit`."""
    queue.submit(Job("n", began, {"path": str(fifo)}, queue=name))
    returned = time.monotonic_ns()
    started = int.from_bytes(os.read(reader, 8), "little")
    time.sleep(random.uniform(0.001, _OUT_OF_STEP))  # noqa: S311 - the worker goes to sleep
    return max(started - returned, 0) / 1e6


if __name__ == "__main__":
    main()
