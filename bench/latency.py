"""How long from a submit to the first line of the job's function, with idle workers.

    .venv/bin/python bench/latency.py --jobs 10000
    .venv/bin/python bench/latency.py --rounds 3 /path/to/another/checkout

Every round runs this checkout and each of the others in turn, with their own `.venv`. The next job
is submitted a little after the last one began. `after` is counted from the return of `submit`,
`whole` from its call. A job that took so long that only a worker's own look can have found it
counts as a lost ring.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from typing import TYPE_CHECKING

from figures import median, quantile
from rig import CONFIG_OF_WORKERS, in_turns, machine, running_daemon

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from pathlib import Path

_LOST = 200.0
_FIFO = "began"
_OUT_OF_STEP = 0.004


def began(path: str) -> None:
    """A job: say when its first line ran."""
    now = time.monotonic_ns()
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, now.to_bytes(8, "little"))
    os.close(descriptor)


def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("others", nargs="*", help="other checkouts to measure in the same run")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--durability", default="normal", choices=["normal", "full"])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--once", action="store_true", help="measure this checkout, print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measured(options)))
        return
    print(f"{machine()}; {options.workers} workers, {options.jobs} jobs a round; ms")
    names = ("after p50", "after p99", "whole p50", "whole p99", "longest", "lost")
    print(" ".join(f"{name:>10}" for name in names), " checkout")
    for tree, rounds in in_turns(__file__, options.others, options.rounds).items():
        row = [median([found[name] for found in rounds]) for name in names[:4]]
        row += [max(found["longest"] for found in rounds), sum(found["lost"] for found in rounds)]
        print(" ".join(f"{value:10.2f}" for value in row), f" {tree}")


def measured(options: argparse.Namespace) -> dict[str, float]:
    """One round."""
    text = CONFIG_OF_WORKERS.format(workers=options.workers, durability=options.durability)
    with running_daemon(text) as config:
        queue = JobQueue(config.parent / "jobs.db")
        fifo = config.parent / _FIFO
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR)
        for _ in range(20):
            one(queue, fifo, reader)
        found = [one(queue, fifo, reader) for _ in range(options.jobs)]
        os.close(reader)
        queue.close()
    after, whole = ([pair[n] for pair in found] for n in (0, 1))
    return {
        "after p50": quantile(after, 0.5),
        "after p99": quantile(after, 0.99),
        "whole p50": quantile(whole, 0.5),
        "whole p99": quantile(whole, 0.99),
        "longest": max(whole),
        "lost": sum(value > _LOST for value in whole),
    }


def one(queue: JobQueue, fifo: Path, reader: int) -> tuple[float, float]:
    """Submit a job and wait until it has begun; ms from the return of `submit`, and its call."""
    job = Job("n", began, {"path": str(fifo)})
    called = time.monotonic_ns()
    queue.submit(job)
    returned = time.monotonic_ns()
    started = int.from_bytes(os.read(reader, 8), "little")
    time.sleep(random.uniform(0.001, _OUT_OF_STEP))  # noqa: S311 - the worker goes to sleep
    return max(started - returned, 0) / 1e6, (started - called) / 1e6


if __name__ == "__main__":
    main()
