"""What an idle daemon costs: memory shared and own, wake-ups, processor time.

    .venv/bin/python bench/idle.py --workers 4 --seconds 20

Figures come from the kernel (/proc): proportional set size, voluntary context switches, and
processor time of every process of the daemon, over a time in which nothing is submitted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import psutil
from rig import command, machine, running_daemon

CONFIG = """\
[daemon]
runtime_dir = "run"
[queue]
database = "jobs.db"
[pools.default]
size = {workers}
"""

SETTLED_AFTER = 5.0


def main() -> None:
    """Start a daemon, let it be, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with running_daemon(CONFIG.format(workers=options.workers)) as config:
        report(json.loads(command("status", config, "--json")), options.seconds)


def report(status: dict, seconds: float) -> None:
    """Print what each process used while nothing happened."""
    time.sleep(SETTLED_AFTER)
    pids = {"supervisor": status["pid"]} | {s["slot"]: s["pid"] for s in status["slots"]}
    before = {name: usage(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    after = {name: usage(pid) for name, pid in pids.items()}
    print(f"{machine()}; {seconds:g} s idle")
    print(f"{'process':12} {'PSS MiB':>8} {'own MiB':>8} {'wakes/s':>8} {'CPU s/h':>8}")
    totals = [0.0, 0.0, 0.0, 0.0]
    for name, pid in pids.items():
        memory = psutil.Process(pid).memory_full_info()
        row = [
            memory.pss / 2**20,
            memory.uss / 2**20,
            (after[name][0] - before[name][0]) / seconds,
            (after[name][1] - before[name][1]) / seconds * 3600,
        ]
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        print(line(name, row))
    print(line("together", totals))


def usage(pid: int) -> tuple[int, float]:
    """Voluntary context switches and processor seconds of a process so far."""
    process = psutil.Process(pid)
    nanoseconds = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    return process.num_ctx_switches().voluntary, int(nanoseconds) / 1e9


def line(name: str, row: list[float]) -> str:
    """One row of the table."""
    return f"{name:12} " + " ".join(f"{value:8.2f}" for value in row)


if __name__ == "__main__":
    main()
