"""How soon a worker that was killed is replaced: SIGKILL sent to an idle one, to the next claim.

    .venv/bin/python bench/respawn.py --rounds 100

The pool has one worker, so that only its heir can claim, and that one is stopped (SIGSTOP) while
the job is submitted, which therefore lies there at the kill. The claim is the start time that is
stored with the job.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rig import command, machine, running_daemon
from startup import imported

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """\
[daemon]
runtime_dir = "run"
[queue]
database = "jobs.db"
[code]
python_path = ["."]
[log]
file = "gigqd.log"
format = "json"
[pools.default]
size = 1
"""


def main() -> None:
    """Start a daemon, kill its worker again and again, print how long that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with running_daemon(CONFIG) as config:
        took = [round_trip(config) for _ in range(options.rounds)]
    cuts = statistics.quantiles(took, n=100)
    print(machine())
    print(f"{len(took)} kills of an idle worker, from SIGKILL to the next claim:")
    print(f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(took):.1f} ms")


def round_trip(config: Path) -> float:
    """Kill the worker while a job waits for it; milliseconds until its heir has claimed the job."""
    pid = until(lambda: idle_worker(config))
    os.kill(pid, signal.SIGSTOP)
    queue = JobQueue(config.with_name("jobs.db"))
    job = queue.submit(Job("next", application(config)))
    killed = time.time()
    os.kill(pid, signal.SIGKILL)
    row = until(lambda: claimed(queue, job))
    queue.close()
    return (datetime.fromisoformat(row["started_at"]).timestamp() - killed) * 1000


def application(config: Path) -> Callable[[], None]:
    """A job's function in a module without imports."""
    code = config.with_name("application.py")
    code.write_text("def job():\n    pass\n")
    function: Callable[[], None] = imported(code).job
    return function


def idle_worker(config: Path) -> int | None:
    """The process id of the worker, once it waits for jobs."""
    slots = json.loads(command("status", config, "--json"))["slots"]
    return next((s["pid"] for s in slots if s["slot"] != "recorder" and s["state"] == "idle"), None)


def claimed(queue: JobQueue, job: str) -> dict | None:
    """The job's row, once it is over."""
    row = queue.get_status(job)
    return row if row["status"] == "completed" else None


def until(look: Callable[[], Any]) -> Any:
    """What a look finds at last."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise SystemExit("waited for too long")


if __name__ == "__main__":
    main()
