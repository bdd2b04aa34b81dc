"""Jobs for a plain worker: they are interrupted, see that they are to end, or fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gigq

_AGES = 600


def swallow(path: str) -> str:
    """Sleep, catch what interrupts that, and return its name."""
    try:
        Path(path).touch()
        time.sleep(_AGES)
    except BaseException as error:  # noqa: BLE001 - the point of it
        return type(error).__name__
    return "nothing"


def outlast_with_an_alarm_of_its_own(outcome: str) -> str:
    """Handle SIGALRM, which the plain worker needs, and return or raise after the limit."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    outlast()
    if outcome == "raises":
        raise ValueError("late")
    return "late"


def outlast() -> None:
    """Return once the limit has passed."""
    job = gigq.current_job()
    assert job is not None
    while job.remaining:
        time.sleep(0.01)


def clean_up(begun: str, cleaned: str) -> None:
    """Wait for a child for ever, and note what interrupts that."""
    try:
        Path(begun).touch()
        subprocess.run(["sleep", str(_AGES)], check=True)
    except gigq.errors.JobInterrupted as error:
        Path(cleaned).write_text(type(error).__name__)
        raise


def swallow_and_hold(begun: str, held: str) -> None:
    """Swallow the first interruption, then be in C code that lets no handler run."""
    try:
        Path(begun).touch()
        time.sleep(_AGES)
    except gigq.errors.JobInterrupted:
        Path(held).touch()
        sum(range(10**14))


def return_when_cancelled(path: str) -> str:
    """Have the only running job of a queue cancelled, see that, and return."""
    queue = gigq.JobQueue(path)
    (running,) = queue.list_jobs(status="running")
    assert queue.cancel(running["id"], running=True)
    job = gigq.current_job()
    assert job is not None
    while not job.cancel_requested:
        time.sleep(0.01)
    return "saved"


def return_when_stopped(begun: str) -> str:
    """See that the worker stops, and return."""
    Path(begun).touch()
    job = gigq.current_job()
    assert job is not None
    while not job.stop_requested:
        time.sleep(0.01)
    return "saved"


def use_pool() -> str:
    """Use a pool of processes that is terminated in the middle of its work."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply_async(time.sleep, [_AGES])
    return "terminated"


def fork_and_wait(how: str) -> int:
    """Fork a child that leaves in some way; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        _leave(how)
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _leave(how: str) -> None:
    sys.stdout.write(f"child: {how}\n")
    if how == "raise":
        raise ValueError("the child's own")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "words":
        sys.exit("last words")
    if how != "return":
        sys.exit(int(how))
