"""gigq under gigqd, this project."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

from bench import work
from bench.board import VARIABLE
from bench.protocol import Peer, Place, Processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gigq import JobQueue

PEER = Peer(
    name="gigq",
    title="gigq",
    requires=(),
    durable="yes, fsync for each accepted job",
    settings="defaults: submit synchronous=FULL, outcomes NORMAL",
    pace=25_000,
    bulk=50_000,
)

CONFIG = """\
[daemon]
name = "bench"
runtime_dir = "run"
[queue]
database = "{database}"
durability = "{durability}"
[code]
environment = {{ {variable} = "{board}" }}
[log]
file = "gigqd.log"
level = "warning"
[pools.default]
size = {workers}
"""


def adapter(place: Place) -> Gigq:
    """The adapter, in a folder."""
    return Gigq(place, "normal")


class Gigq:
    """A queue and a daemon."""

    def __init__(self, place: Place, durability: str) -> None:
        """Live in a folder."""
        self.folder = place.folder
        self.durability = durability
        self.processes = Processes()
        self.config = place.folder / "gigq.toml"
        self.database: str | Path = place.folder / "queue.db"

    def prepare(self) -> None:
        """Make the file and its tables."""
        from gigq import JobQueue

        self.queue: JobQueue = JobQueue(self.database)

    def start(self, workers: int) -> list[int]:
        """Start the daemon in the foreground, as a service manager does."""
        values = {"workers": workers, "variable": VARIABLE, "durability": self.durability}
        values |= {"board": os.environ[VARIABLE], "database": self.database}
        self.config.write_text(CONFIG.format(**values))
        command = (sys.executable, "-m", "gigqd", "--config", str(self.config), "run")
        return [self.processes.start(*command, log=self.folder / "log", cwd=self.folder)]

    def submit(self, kind: str) -> None:
        """One job."""
        from gigq import Job

        self.queue.submit(Job(kind, work.FUNCTIONS[kind]))

    def submit_later(self, kind: str, seconds: float) -> None:
        """One job for later."""
        from gigq import Job

        self.queue.submit(Job(kind, work.FUNCTIONS[kind], delay=seconds))

    def submit_many(self, kind: str, count: int) -> None:
        """In one transaction."""
        from gigq import Job

        self.queue.submit_many([Job(kind, work.FUNCTIONS[kind]) for _ in range(count)])

    def stop(self) -> None:
        """End the daemon."""
        self.processes.stop()

    def workflow(self, shape: str, count: int) -> float:
        """Submit a chain, or a fan-out and fan-in, in one transaction; seconds."""
        from gigq import Job, Workflow

        flow = Workflow(shape)
        began = time.monotonic()
        jobs = [Job("step", work.noop) for _ in range(count)]
        if shape == "chain":
            for parent, job in zip([None, *jobs], jobs, strict=False):
                flow.add_job(job, [parent] if parent else None)
        else:
            flow.add_job(jobs[0])
            for job in jobs[1:-1]:
                flow.add_job(job, [jobs[0]])
            flow.add_job(jobs[-1], jobs[1:-1])
        flow.submit_all(self.queue)
        return time.monotonic() - began

    def finish_all(self) -> None:
        """Make every job one that has completed, each with its execution."""
        with sqlite3.connect(self.database) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO job_executions (id, job_id, worker_id, status, started_at,"
                " completed_at, attempt) SELECT 'x' || id, id, 'w', 'completed', created_at,"
                " created_at, 1 FROM jobs"
            )
            connection.execute(
                "UPDATE jobs SET status = 'completed', attempts = 1, started_at = created_at,"
                " completed_at = created_at, execution_id = 'x' || id, result = 'null'"
            )
        connection.close()

    def looks(self) -> dict[str, float]:
        """Milliseconds that it takes to look at the queue, the median of three."""
        some = self.queue.list_jobs(limit=1)[0]["id"]
        return {
            "stats ms": _median_ms(self.queue.stats),
            "list_jobs ms": _median_ms(self.queue.list_jobs),
            "status ms": _median_ms(lambda: self.queue.get_status(some)),
        }

    def claims(self, count: int) -> list[int]:
        """Nanoseconds of single claims with everything that is pending, by a plain worker."""
        from gigq import Worker

        worker: Any = Worker(self.database)
        took = []
        for _ in range(count):
            began = time.monotonic_ns()
            claimed = worker._claim_job()
            took.append(time.monotonic_ns() - began)
            assert claimed is not None
        return took


def _median_ms(look: Callable[[], object]) -> float:
    took = []
    for _ in range(3):
        began = time.monotonic_ns()
        look()
        took.append(time.monotonic_ns() - began)
    return sorted(took)[1] / 1e6
