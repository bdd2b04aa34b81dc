"""The functions that the torture run's jobs call: each notes when it begins, lives and ends."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import resource
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from torture import children
from torture.ledger import note

from gigq import CancelJob, GiveUp, RetryLater, Snooze, current_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AGES = 60.0
_BEAT = 0.05
_STEP = 0.01
_MEGABYTE = 1024 * 1024


@contextmanager
def noted(ledger: str, job: str, **more: Any) -> Iterator[dict[str, str]]:
    """Note the start and the end of one call; what it yields is the job's result."""
    current = current_job()
    assert current is not None
    execution = current.execution_id
    note(ledger, "start", job=job, execution=execution, host=os.uname().nodename, **more)
    try:
        yield {"execution": execution}
    except BaseException as error:
        note(ledger, "end", job=job, execution=execution, how=f"raised:{type(error).__name__}")
        raise
    note(ledger, "end", job=job, execution=execution, how="returned")


def work(
    ledger: str, job: str, seconds: float = 0.0, parent_results: dict[str, Any] | None = None
) -> dict[str, str]:
    """Be busy for a while."""
    with noted(ledger, job, parents=parent_results) as result:
        _live(ledger, job, result["execution"], seconds)
    return result


def fail(ledger: str, job: str, chance: float = 1.0) -> dict[str, str]:
    """Raise, more or less often."""
    with noted(ledger, job) as result:
        if random.random() < chance:
            raise RuntimeError("bad luck")
    return result


def put_off(ledger: str, job: str, how: str, delay: float, chance: float = 0.6) -> dict[str, str]:
    """Decide what follows instead of working, more or less often."""
    with noted(ledger, job) as result:
        if random.random() < chance:
            raise _DECISIONS[how](delay)
    return result


_DECISIONS: dict[str, Callable[[float], BaseException]] = {
    "snooze": Snooze,
    "later": RetryLater,
    "give up": lambda _delay: GiveUp("no use"),
    "cancel": lambda _delay: CancelJob("not wanted"),
}


def crash(ledger: str, job: str, chance: float = 1.0, code: int | None = None) -> dict[str, str]:
    """End the worker's process, more or less often: by a fault of memory, or without a word."""
    with noted(ledger, job) as result:
        if random.random() < chance:
            _crash(code)
    return result


def overrun(ledger: str, job: str) -> dict[str, str]:
    """Stay too long, as Python code that can be interrupted."""
    with noted(ledger, job) as result:
        _live(ledger, job, result["execution"], _AGES)
    return result


def resist(ledger: str, job: str) -> dict[str, str]:
    """Stay too long, and let nothing but SIGKILL end it."""
    with noted(ledger, job) as result:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        end = time.monotonic() + _AGES
        while time.monotonic() < end:
            try:
                _live(ledger, job, result["execution"], _AGES)
            except BaseException:  # noqa: BLE001 - to be uninterruptible is its point
                continue
    return result


def hang_in_c(ledger: str, job: str, *, hold_gil: bool) -> dict[str, str]:
    """Wait for ever in one call to C: lock a mutex that this thread already holds."""
    library = ctypes.PyDLL(None) if hold_gil else ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(128)
    with noted(ledger, job) as result:
        library.pthread_mutex_lock(mutex)
        library.pthread_mutex_lock(mutex)
    return result


def fork(ledger: str, job: str, ways: list[str], then: str) -> dict[str, str]:
    """Start children that live on, then return, raise, crash or stay."""
    with noted(ledger, job) as result:
        for way in ways:
            children.start(way, ledger, job, result["execution"])
        _live(ledger, job, result["execution"], 0.1)
        if then == "raise":
            raise RuntimeError("and there are my children")
        if then == "crash":
            _crash(None)
        if then == "stay":
            _live(ledger, job, result["execution"], _AGES)
    return result


def eat(ledger: str, job: str, megabytes: int) -> dict[str, str]:
    """Take more and more memory, and keep it for a moment."""
    taken = []
    with noted(ledger, job) as result:
        for _ in range(0, megabytes, 10):
            block = mmap.mmap(-1, 10 * _MEGABYTE)
            block.write(b"x" * (10 * _MEGABYTE))
            taken.append(block)
            time.sleep(0.05)
        _live(ledger, job, result["execution"], 2.0)
    return result


def talk(ledger: str, job: str, kilobytes: int) -> dict[str, str]:
    """Write more than any limit keeps."""
    with noted(ledger, job) as result:
        for _ in range(kilobytes):
            sys.stdout.write("x" * 1023 + "\n")
    return result


def limit(ledger: str, job: str, then: str, *, hard: bool) -> dict[str, str]:
    """Forbid the process to write into files, then return or raise."""
    with noted(ledger, job) as result:
        pass
    most = 0 if hard else resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    if then == "raise":
        raise RuntimeError("nothing can be written any more")
    return result


def _live(ledger: str, job: str, execution: str, seconds: float) -> None:
    """Pass time in small steps, with a line now and then."""
    now = time.monotonic()
    end, next_beat = now + seconds, now + _BEAT
    while now < end:
        time.sleep(min(_STEP, end - now))
        now = time.monotonic()
        if now >= next_beat:
            note(ledger, "beat", job=job, execution=execution)
            next_beat = now + _BEAT


def _crash(code: int | None) -> NoReturn:
    if code is not None:
        os._exit(code)
    ctypes.string_at(0)
    raise AssertionError("address 0 could be read")
