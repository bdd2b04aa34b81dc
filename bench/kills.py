"""How late overrunning jobs are killed: SIGKILL sent, minus the deadline and the grace.

    .venv/bin/python bench/kills.py --jobs 500 --workers 4

Every job is stuck in C code with the interpreter lock released and has a child process, so each
is killed. Figures are the daemon's own, from its log.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import time
from pathlib import Path

import psutil
from rig import command, machine, running_daemon

from gigq import Job, JobQueue

CONFIG = """\
[daemon]
runtime_dir = "run"
[queue]
database = "jobs.db"
[code]
python_path = ["{code}"]
[log]
file = "gigqd.log"
format = "json"
[pools.default]
size = {workers}
timeout_grace = 0
"""


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
    text = CONFIG.format(workers=options.workers, code=Path(__file__).parent)
    with running_daemon(text) as config:
        report(config, options)


def report(config: Path, options: argparse.Namespace) -> None:
    """Run the jobs and print what became of them."""
    from kills import stuck as job_function  # by its importable name, not as __main__

    queue = JobQueue(config.with_name("jobs.db"))
    supervisor = psutil.Process(json.loads(command("status", config, "--json"))["pid"])
    before = (supervisor.num_fds(), supervisor.memory_info().rss)
    limits = {"timeout": options.timeout, "max_attempts": 1}
    queue.submit_many([Job("stuck", job_function, **limits) for _ in range(options.jobs)])
    while queue.stats()["timeout"] < options.jobs:
        time.sleep(0.1)
    after = (supervisor.num_fds(), supervisor.memory_info().rss)
    log = [json.loads(line) for line in config.with_name("gigqd.log").read_text().splitlines()]
    late = [line["late_ms"] for line in log if line["event"] == "verdict_settled"]
    print(machine())
    print(f"{len(late)} kills, {options.workers} workers, limit {options.timeout:g} s, no grace")
    cuts = statistics.quantiles(late, n=100)
    print(f"late: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(late):.1f} ms")
    print(f"supervisor: fds {before[0]} -> {after[0]}, RSS {before[1]} -> {after[1]} bytes")
    print(f"zombies: {sum(c.status() == psutil.STATUS_ZOMBIE for c in supervisor.children())}")


if __name__ == "__main__":
    main()
