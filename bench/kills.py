"""How late overrunning jobs are killed: SIGKILL sent, minus the deadline and the grace.

    .venv/bin/python bench/kills.py --jobs 500 --workers 4
    .venv/bin/python bench/kills.py --jobs 1000 --timeout 0.05

Every job is stuck in C code with the interpreter lock released and has a child process, so each
is killed. Lateness is the daemon's own figure, from its log. What the supervisor holds is looked at
when a tenth of the jobs is over, so that what is made once is not taken for growth, and at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
from rig import CONFIG_OF_KILLS, command, machine, running_daemon

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from pathlib import Path


def stuck() -> None:
    """Start a child, then be in one call to C for hours."""
    subprocess.Popen(["/bin/sleep", "3600"])
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2**31 - 1)


def main() -> None:
    """Start a daemon, let jobs overrun, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=0.2)
    options = parser.parse_args()
    text = CONFIG_OF_KILLS.format(workers=options.workers)
    with running_daemon(text) as config:
        report(config, options)


def report(config: Path, options: argparse.Namespace) -> None:
    """Run the jobs and print what became of them."""
    from kills import stuck as job_function  # by its importable name, not as __main__

    queue = JobQueue(config.with_name("jobs.db"))
    supervisor = psutil.Process(json.loads(command("status", config, "--json"))["pid"])
    limits = {"timeout": options.timeout, "max_attempts": 1}
    began = time.monotonic()
    queue.submit_many([Job("stuck", job_function, **limits) for _ in range(options.jobs)])
    wait_for(queue, options.jobs // 10)
    before = holdings(supervisor)
    wait_for(queue, options.jobs)
    took = time.monotonic() - began
    time.sleep(1)
    after = holdings(supervisor)
    log = [json.loads(line) for line in config.with_name("gigqd.log").read_text().splitlines()]
    late = [line["late_ms"] for line in log if line["event"] == "exit_recorded"]
    print(machine())
    print(f"{len(late)} kills, {options.workers} workers, limit {options.timeout:g} s, no grace")
    cuts = statistics.quantiles(late, n=100)
    print(f"late: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(late):.1f} ms")
    print(f"rate: {options.jobs / took:.1f} kills a second, for {took:.0f} s")
    for name, then in before.items():
        print(f"supervisor's {name}: {then} after a tenth of the kills, {after[name]} at the end")


def wait_for(queue: JobQueue, timeouts: int) -> None:
    """Wait until so many jobs have overrun."""
    while queue.stats()["timeout"] < timeouts:
        time.sleep(0.1)


def holdings(supervisor: psutil.Process) -> dict[str, int]:
    """What a supervisor holds."""
    zombies = [c for c in supervisor.children() if c.status() == psutil.STATUS_ZOMBIE]
    return {
        "descriptors": supervisor.num_fds(),
        "memory (bytes, RSS)": supervisor.memory_info().rss,
        "zombies": len(zombies),
    }


if __name__ == "__main__":
    main()
