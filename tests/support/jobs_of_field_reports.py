"""Jobs that went wrong in other queues; `tests/daemon/test_field_reports.py` has the reports."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import tarfile
import threading
import time
import weakref
from datetime import datetime
from pathlib import Path

from support.calls import note, noted
from support.waiting import wait_until

from gigq import Job

_AGES = 3600
_BAGS: weakref.WeakSet[Bag] = weakref.WeakSet()


class CardError(Exception):
    """An error that cannot be made again from its own arguments."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
        self.lock = threading.Lock()


class Bag:
    """Something large that a job holds."""


def decline() -> None:
    """Raise an error that pickle can neither write nor read."""
    raise CardError("card declined", code=402)


def handle_every_exception(ledger: str, job: str) -> str:
    """Wait for ever, and take every `Exception` for a trouble of the work itself."""
    with noted(ledger, job):
        try:
            time.sleep(_AGES)
        except Exception:  # noqa: BLE001 - the report is about jobs that do this
            return "handled"
        return "slept"


def draw() -> list[float]:
    """The worker's process id, and the next random number in it."""
    return [os.getpid(), random.random()]


def let_a_thread_fail() -> int:
    """Start a thread that dies of an exception, and return when it is dead."""
    thread = threading.Thread(target=decline)
    thread.start()
    thread.join()
    return os.getpid()


def fill_a_bag_and_fail() -> None:
    """Fail with a chain of errors while a local variable holds a bag."""
    bag = Bag()
    _BAGS.add(bag)
    try:
        decline()
    except CardError as error:
        raise RuntimeError("no bag") from error


def bags_left() -> list[int]:
    """The worker's process id, and how many bags are still in its memory."""
    return [os.getpid(), len(_BAGS)]


def await_for_ever(ledger: str, job: str, order: str) -> None:
    """Wait in a coroutine that, when it is to end, awaits something to clean up its order."""
    with noted(ledger, job):
        asyncio.run(_await_for_ever(ledger, job, order))


async def _await_for_ever(ledger: str, job: str, order: str) -> None:
    try:
        await asyncio.sleep(_AGES)
    finally:
        await asyncio.to_thread(note, ledger, what="cleaned", job=job, order=order)


def archive_and_wait(ledger: str, job: str, database: str) -> None:
    """Read every file beside the database, as a nightly archive does; then wait for a file `go`."""
    with noted(ledger, job):
        with tarfile.open(os.devnull, "w") as archive:
            for path in sorted(Path(database).parent.glob("jobs.db*")):
                archive.add(path)
        note(ledger, what="archived", job=job)
        wait_until(Path(f"{ledger}.go").exists, _AGES)


def work_once_mended(ledger: str, job: str, file: str) -> None:
    """Fail as long as a file is missing."""
    with noted(ledger, job):
        Path(file).read_bytes()


def job_with_id(job_id: str) -> Job:
    """A job with an id of the application's own."""
    job = Job(job_id, os.getpid)
    job.id = job_id
    return job


def zone() -> list[str]:
    """The time zone of local times, in C code and in Python."""
    return [time.strftime("%Z"), datetime.fromtimestamp(0).astimezone().tzname() or ""]


def require_a_command() -> None:
    """Run a command that fails, as a backup script may."""
    subprocess.run(["false"], check=True)


def writable_places() -> list[str]:
    """The folders for temporary files in which this process may write."""
    return [each for each in ("/tmp", "/var/tmp", "/dev/shm") if os.access(each, os.W_OK)]
