"""How soon a waiting job is interrupted: from its limit to the first line of its `except`.

    .venv/bin/python bench/interrupts.py
    .venv/bin/python bench/interrupts.py --rounds 50

Eight jobs at a time wait in eight calls. The limit is the job's deadline for a timeout, the call of
`JobQueue.cancel` for a cancel, and for a stop the time at which running jobs are to be interrupted.
The second figure counts from the daemon's log line `job_interrupted` instead: what lies before
it is how soon the daemon knew.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import socket
import statistics
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig import DAEMON, LOG, QUEUE, command, machine, running_daemon

from gigq import Job, JobQueue, current_job
from gigq.errors import JobInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_TIMEOUT = 1.0
CONFIG = f"""\
{DAEMON}stop_timeout = {STOP_TIMEOUT}
{QUEUE}{LOG}[pools.default]
size = 8
timeout_grace = 5
"""


def _lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _recv() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def _waitpid() -> None:
    os.waitpid(subprocess.Popen(["/bin/sleep", "3600"]).pid, 0)


CALLS: dict[str, Callable[[], Any]] = {
    "subprocess.run": lambda: subprocess.run(["/bin/sleep", "3600"], check=True),
    "check_output": lambda: subprocess.check_output(["/bin/sleep", "3600"]),
    "os.waitpid": _waitpid,
    "pipe read": lambda: os.read(os.pipe()[0], 1),
    "socket.recv": _recv,
    "accept": lambda: socket.create_server(("127.0.0.1", 0)).accept(),
    "queue.get": lambda: queue.Queue[Any]().get(),
    "lock": _lock,
}


def wait(call: str, cause: str, notes: str) -> None:
    """Wait in a call; note when the limit was and when the exception came."""
    job = current_job()
    assert job is not None
    limit = time.time() + job.remaining if job.remaining is not None else None
    note(notes, {"begun": job.id})
    try:
        CALLS[call]()
    except JobInterrupted:
        now = time.time()
        found = {"call": call, "cause": cause, "execution": job.execution_id, "job": job.id}
        note(notes, {**found, "at": now, "limit": limit})
        raise


def note(path: str, fields: dict[str, Any]) -> None:
    """Append a line to a file that all jobs share."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")


def main() -> None:
    """Play every round, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    for number in range(options.rounds):
        found += play_round()
        print(f"\rround {number + 1} of {options.rounds}", end="", flush=True)
    print(f"\r{machine()}")
    print(f"{options.rounds} rounds; milliseconds from the limit (from the daemon's request)")
    for cause in ("timeout", "cancelled", "stopped"):
        for call in CALLS:
            print(row(cause, call, [one for one in found if of(one, cause, call)]))
        print(row(cause, "all", [one for one in found if one["cause"] == cause]))


def of(one: dict[str, Any], cause: str, call: str) -> bool:
    """Whether an interruption belongs to a row."""
    return bool(one["cause"] == cause and one["call"] == call)


def row(cause: str, call: str, found: list[dict[str, Any]]) -> str:
    """One line of the table."""
    after_limit = figures([(one["at"] - one["limit"]) * 1000 for one in found])
    after_request = figures([(one["at"] - one["asked"]) * 1000 for one in found])
    return f"{cause:10} {call:15} {after_limit}   ({after_request})"


def figures(values: list[float]) -> str:
    """The middle, the hundredth and the worst."""
    points = values if len(values) > 1 else values * 2  # quantiles() takes two at least
    cuts = statistics.quantiles(points, n=100, method="inclusive")
    return f"p50 {cuts[49]:6.1f}  p99 {cuts[98]:6.1f}  max {max(values):6.1f}"


def play_round() -> list[dict[str, Any]]:
    """Interrupt eight jobs for each cause, in one daemon that is stopped for the last."""
    with running_daemon(CONFIG) as config:
        notes = config.with_name("notes")
        notes.touch()
        jobs = JobQueue(config.with_name("jobs.db"))
        play(jobs, notes, "timeout", timeout=0.5)
        began = play(jobs, notes, "cancelled", timeout=None)
        limits = {}
        for job_id in began:
            limits[job_id] = time.time()
            jobs.cancel(job_id, running=True)
        wait_for(notes, "at", 16)
        play(jobs, notes, "stopped", timeout=None)
        command("stop", config)
        log = [json.loads(line) for line in config.with_name("gigqd.log").read_text().splitlines()]
        found = [line for line in lines(notes) if "at" in line]
        command("start", config)  # the rig stops it once more
    return [with_limits(one, limits, log) for one in found]


def play(jobs: JobQueue, notes: Path, cause: str, timeout: float | None) -> list[str]:
    """Submit a job for each call, and wait until they wait, or are over if they have a limit."""
    from interrupts import wait as function  # by its importable name, not as __main__

    given = {"cause": cause, "notes": str(notes)}
    options: dict[str, Any] = {"timeout": timeout, "max_attempts": 1 if timeout else 3}
    before = len([line for line in lines(notes) if "begun" in line])
    ids = jobs.submit_many(
        [Job(call, function, {"call": call, **given}, **options) for call in CALLS]
    )
    wait_for(notes, "begun", before + len(CALLS))
    if timeout:
        wait_for(notes, "at", len(CALLS))
    time.sleep(0.2)
    return list(ids)


def with_limits(
    one: dict[str, Any], cancelled: dict[str, float], log: list[dict[str, Any]]
) -> dict[str, Any]:
    """An interruption with its limit and the time of the daemon's request."""
    asked = next(
        moment(line)
        for line in log
        if line["event"] == "job_interrupted" and line["execution"] == one["execution"]
    )
    limit = one["limit"]
    if one["cause"] == "cancelled":
        limit = cancelled[one["job"]]
    elif one["cause"] == "stopped":
        stop = next(moment(line) for line in log if line["event"] == "drain_started")
        limit = stop + STOP_TIMEOUT / 2
    return {**one, "asked": asked, "limit": limit}


def moment(line: dict[str, Any]) -> float:
    """When a line of the log was written."""
    return datetime.fromisoformat(line["ts"]).timestamp()


def lines(notes: Path) -> list[dict[str, Any]]:
    """What the jobs have noted."""
    return [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]


def wait_for(notes: Path, what: str, count: int) -> None:
    """Wait until so many notes of a kind are there."""
    while len([line for line in lines(notes) if what in line]) < count:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
