"""What one event costs on its way to the daemon's log, as JSON in a file.

    .venv/bin/python bench/log_event.py
    .venv/bin/python bench/log_event.py --rounds 10 --than ../earlier-checkout

Each figure is the least of several series of the same call, in microseconds of processor time. The
process is a worker with a job: its fields are bound. "floor" is the JSON of such a line and its
write, and nothing else. `--than` runs this program in other checkouts in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
import timeit
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig import in_turns, machine

from gigq import events
from gigqd import logs
from gigqd.config import LogConfig

if TYPE_CHECKING:
    from collections.abc import Callable

JOB: dict[str, Any] = {
    "job_id": "0199c0de-1111-7abc-8def-0123456789ab",
    "job": "charge",
    "attempt": 1,
}
ENDED = {
    **JOB,
    "function": "shop.orders.charge",
    "execution_id": "0199c0de-2222-7abc-8def-0123456789ab",
    "max_attempts": 3,
    "queue": "default",
    "worker": "gigqd:7/default/0",
    "duration": 0.00123,
}
log = logs.get_logger("gigqd.bench")
app_log = logging.getLogger("shop.orders")


def main() -> None:
    """Measure once, or in turns with other checkouts, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500, help="in each series")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--than", nargs="*", default=[])
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.events)))
        return
    print(machine())
    found = in_turns(__file__, options.than, options.rounds)
    for tree, runs in found.items():
        print(f"\n{tree}\n{'µs an event':34} {'median':>8} {'least':>8} {'most':>8}")
        for name in runs[0]:
            figures = [run[name] for run in runs]
            row = (statistics.median(figures), min(figures), max(figures))
            print(f"{name:34} {row[0]:8.2f} {row[1]:8.2f} {row[2]:8.2f}")


def measure(count: int) -> dict[str, float]:
    """Return the microseconds of one call of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "gigqd.log")
        logs.configure(LogConfig(file=file, format="json"), run="gigqd:7", slot="default/0")
        events.send_to(logs.LibraryEvents())
        logs.enter_job(JOB)
        calls = {
            "event of the daemon": lambda: log.info("worker_ready", generation=1, seconds=0.25),
            "event of the library": lambda: events.emit(events.JOB_COMPLETED, **ENDED),
            "record of the logging module": lambda: app_log.info("sent %s", "north"),
            "event of the daemon, off": lambda: log.debug("worker_ready", generation=1),
            "event of the library, off": lambda: events.heard(logging.DEBUG),
            "record of the logging module, off": lambda: app_log.debug("sent %s", "north"),
        }
        found = {name: least(call, count) for name, call in calls.items()}
        return found | {"floor": least(floor(file), count)}


def floor(file: Path) -> Callable[[], object]:
    """Return a call that writes a line of the same content, made of nothing but its JSON."""
    fd = os.open(file, os.O_WRONLY | os.O_APPEND)
    line = json.loads(file.read_bytes().splitlines()[-1])
    return lambda: os.write(fd, f"{json.dumps(line)}\n".encode())


def least(call: Callable[[], object], count: int) -> float:
    """Return the least mean time of a call in several series, in microseconds."""
    series = timeit.repeat(call, number=count, repeat=25, timer=time.process_time)
    return min(series) / count * 1e6


if __name__ == "__main__":
    main()
