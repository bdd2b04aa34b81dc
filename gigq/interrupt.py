"""How a plain worker ends a job that overruns: a timer signal raises `JobTimeout` in it."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, Self

from gigq.errors import JobTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from gigq.claim import Claim

# What `signal` itself offers makes an enumeration of every answer.
_getsignal: Any = import_module("_signal").getsignal

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
    if _in_main_thread():
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


class CtrlC:
    """While entered, tells a pressed Ctrl-C from a job that raises `KeyboardInterrupt` itself.

    Where somebody else handles SIGINT, or in another thread than the main one, it tells nothing.

    Attributes:
        pressed: whether the key was really pressed.
    """

    __slots__ = ("_ours", "pressed")

    def __enter__(self) -> Self:
        self.pressed = False
        # The cheap question first: in the daemon SIGINT always has a handler of its own.
        self._ours = _getsignal(signal.SIGINT) is signal.default_int_handler and _in_main_thread()
        if self._ours:
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _press(self, signum: int, frame: Any) -> None:
        self.pressed = True
        signal.default_int_handler(signum, frame)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
