"""Jobs that run to their end, and changes of their rows by other programs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from support.raw_sql import Program

from gigq import Job, JobQueue, Worker

if TYPE_CHECKING:
    from collections.abc import Callable


def work() -> str:
    return "done"


def fail() -> None:
    raise RuntimeError("no")


def submit(queue: JobQueue, count: int, function: Callable[[], object] = work) -> list[str]:
    return queue.submit_many([Job(f"job {n}", function, max_attempts=1) for n in range(count)])


def elsewhere(queue: JobQueue) -> list[str]:
    """A pending job that no test claims."""
    return [queue.submit(Job("pending", work, queue="elsewhere"))]


def run_all(address: str) -> None:
    worker = Worker(address, queues=["default"])
    while worker.process_one():
        pass


def run_sql(address: str, statement: str, *values: object) -> None:
    with closing(Program(address)) as program:
        program.execute(statement, values)
