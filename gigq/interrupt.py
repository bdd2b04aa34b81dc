"""How a plain worker ends a job that overruns: a timer signal raises `JobTimeout` in it."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from gigq.errors import JobTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from gigq.claim import Claim

# What the kernel takes for a timer; longer limits are as good as none.
_LONGEST_TIMER = 1e8
_SHORTEST_TIMER = 1e-6


class Interrupter(Protocol):
    """Guards the run of a job: whoever may raise `JobInterrupted` in it.

    What it raises is marked with `interrupting(claim.execution_id)`: only that, and not what a
    job raises itself, counts as an interruption.
    """

    def armed(self, claim: Claim) -> AbstractContextManager[None]:
        """A context in which the job runs; on leaving it, nothing is raised any more."""
        ...


class NoInterrupter:
    """Interrupts nothing: a job in a thread other than the main one runs as long as it likes."""

    def armed(self, claim: Claim) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol
        """A context that does nothing."""
        return nullcontext()


class TimerInterrupter:
    """Raises `JobTimeout` in the main thread when the job's timeout has passed.

    It does so once: a job that swallows it, or stays in C code, goes on until it returns. It
    needs SIGALRM for the time of the job, and gives it back with what was left on the timer.
    """

    def armed(self, claim: Claim) -> AbstractContextManager[None]:
        """A context with a timer; none when the job has no timeout."""
        if claim.timeout is None:
            return nullcontext()
        return _alarm(claim.timeout, claim.execution_id)


def for_this_thread() -> Interrupter:
    """The interrupter that works here: Python runs signal handlers in the main thread only."""
    if threading.current_thread() is threading.main_thread():
        return TimerInterrupter()
    return NoInterrupter()


def overrun(timeout: float) -> str:
    """The sentence that is recorded for a job past its timeout (seconds)."""
    return f"Job timed out after {timeout:g} seconds"


@contextmanager
def _alarm(timeout: float, execution_id: str) -> Iterator[None]:
    live = True

    def ring(_signal: int, _frame: Any) -> None:
        nonlocal live
        if live:
            live = False
            raise JobTimeout(overrun(timeout)).interrupting(execution_id)

    previous = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    before = 0.0
    # Two nested blocks: should the alarm come between two steps of leaving, the outer one still
    # puts everything back, and it cannot come again.
    try:
        before = signal.setitimer(signal.ITIMER_REAL, min(timeout, _LONGEST_TIMER))[0]
        try:
            yield
        finally:
            live = False
    finally:
        left = max(before - (time.monotonic() - started), _SHORTEST_TIMER) if before else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, left)


@contextmanager
def watching_for_ctrl_c() -> Iterator[threading.Event]:
    """Tell a pressed Ctrl-C from a job that raises `KeyboardInterrupt` itself.

    Gives an event that is set when the key was really pressed. Where somebody else handles
    SIGINT, or in another thread than the main one, it never is.
    """
    pressed = threading.Event()
    if not _ctrl_c_is_ours():
        yield pressed
        return

    def press(signum: int, frame: Any) -> None:
        pressed.set()
        signal.default_int_handler(signum, frame)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _ctrl_c_is_ours() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler
