"""How many short jobs a worker runs where it has only a part of a core, as in a small container.

    .venv/bin/python bench/quota.py --cores 0.5 --jobs 6000
    .venv/bin/python bench/quota.py --cores 0.2 --rounds 3 --than ../earlier-checkout

The daemon is started inside a control group of its own with that quota, in cgroup version 2
(`cpu.max`) or 1 (`cpu.cfs_quota_us`); it takes an account that can make one. The jobs are
submitted before, from outside. The rate is that of the jobs after the first tenth, by the times
that are stored with them. `--than` runs this program in other checkouts in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rig import CONFIG_OF_WORKERS, command, in_turns, machine

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD = 100_000  # microseconds, the kernel's default


def nothing() -> None:
    """Return at once."""


def main() -> None:
    """Measure once, or in turns with other checkouts, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=float, default=0.5)
    parser.add_argument("--jobs", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--than", nargs="*", default=[])
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    if options.once:
        print(json.dumps({"jobs a second": measure(options)}))
        return
    print(machine(), f"{options.cores:g} cores for the daemon", sep="\n")
    found = in_turns(__file__, options.than, options.rounds)
    rates = {tree: [run["jobs a second"] for run in runs] for tree, runs in found.items()}
    for tree, of_tree in rates.items():
        print(f"{tree}: {statistics.median(of_tree):.0f} jobs a second", of_tree)
    here, *others = (statistics.median(of_tree) for of_tree in rates.values())
    for other in others:
        print(f"{here / other:.2f} times as many here")


def measure(options: argparse.Namespace) -> float:
    """Run the jobs once; how many a second."""
    from quota import nothing as job_function  # by its importable name, not as __main__

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gigq.toml")
        config.write_text(CONFIG_OF_WORKERS.format(durability="normal", workers=1))
        queue = JobQueue(config.with_name("jobs.db"))
        queue.submit_many([Job("nothing", job_function) for _ in range(options.jobs)])
        with quota(options.cores) as group:
            start_inside(group, config)
            try:
                while queue.stats()["completed"] < options.jobs:
                    time.sleep(0.1)
            finally:
                command("stop", config)
        ended = sorted(job["completed_at"] for job in queue.list_jobs(limit=options.jobs))
        middle = ended[len(ended) // 10 :]
        first, last = (datetime.fromisoformat(middle[index]) for index in (0, -1))
        return len(middle) / (last - first).total_seconds()


@contextmanager
def quota(cores: float) -> Iterator[Path]:
    """Make a control group with a part of a core; it is removed when its processes are gone."""
    name = f"gigq-bench-{os.getpid()}"
    share = round(cores * PERIOD)
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        group = Path("/sys/fs/cgroup", name)
        group.mkdir()
        (group / "cpu.max").write_text(f"{share} {PERIOD}")
    else:
        group = Path("/sys/fs/cgroup/cpu", name)
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text(str(PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(share))
    try:
        yield group
    finally:
        while (group / "cgroup.procs").read_text():
            time.sleep(0.1)
        group.rmdir()


def start_inside(group: Path, config: Path) -> None:
    """Start the daemon from a process that has entered the group."""
    pid = os.fork()
    if pid == 0:
        try:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            command("start", config)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
