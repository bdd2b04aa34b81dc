"""Interruption of a plain worker's job: a timer raises `JobTimeout`, a stop `JobStopped`."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from gigq.errors import JobStopped, JobTimeout
from gigq.model.cause import Cause
from gigq.model.execution_result import Interruption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from gigq.errors import JobInterrupted
    from gigq.model.claim import Claim

# The functions of `signal` convert every answer into an enumeration, which is slow.
_signal: Any = import_module("_signal")
getsignal = _signal.getsignal
_pthread_sigmask = _signal.pthread_sigmask

# The kernel accepts no longer timers; a longer limit counts as this one.
_LONGEST_TIMER = 1e8
_SHORTEST_TIMER = 1e-6
_REPEAT_EVERY = 0.05

LONGEST_RETRY_FUNCTION = 10.0
"""Maximum seconds for a function that computes the delay of a retry, and for an error's text."""


class Interrupter(Protocol):
    """The object that may raise `JobInterrupted` in a running job.

    It marks the exception with `interrupting(claim.execution_id)`. An unmarked one, raised by the
    job itself, is no interruption.
    """

    @property
    def interruption(self) -> Interruption | None:
        """The interruption of the last armed job, or None."""
        ...

    def armed(self, claim: Claim) -> AbstractContextManager[object]:
        """Return a context for the run of the job; after it no exception is raised any more."""
        ...

    def armed_again(self) -> AbstractContextManager[object]:
        """Return a context for more code of the same attempt; an interruption is not repeated."""
        ...

    def time_left(self) -> float:
        """Return the seconds that such code may take."""
        ...


class NoInterrupter:
    """An interrupter that does nothing: jobs outside the main thread run without a limit."""

    interruption: Interruption | None = None

    def armed(self, claim: Claim) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol
        """Return a context that does nothing."""
        return nullcontext()

    def armed_again(self) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return nullcontext()

    def time_left(self) -> float:
        """Return the maximum."""
        return LONGEST_RETRY_FUNCTION

    def stop(self) -> None:
        """Do nothing."""


class TimerInterrupter:
    """Raises `JobTimeout` in the main thread when the job's timeout has passed.

    It raises one exception, that or `JobStopped`: a job that swallows it, or stays in C code, runs
    until it returns. During the job it uses SIGALRM, and afterwards restores the handler and the
    rest of the timer.
    """

    def __init__(self) -> None:
        self.interruption: Interruption | None = None
        self._live = False
        self._execution = ""

    def armed(self, claim: Claim) -> AbstractContextManager[object]:
        """Return a context in which the job may be interrupted, by a timer if it has a timeout."""
        self.interruption = None
        self._execution = claim.execution_id
        timeout = claim.timeout
        return self if timeout is None else self.alarm(timeout, overrun(timeout))

    def armed_again(self) -> AbstractContextManager[object]:
        """Return a context in which a stop may interrupt, unless the job was interrupted."""
        return self if self.interruption is None else nullcontext()

    def time_left(self) -> float:
        """Return the maximum: this timer kills nothing."""
        return LONGEST_RETRY_FUNCTION

    def __enter__(self) -> None:
        self._live = True

    def __exit__(self, *_: object) -> None:
        self._live = False

    def stop(self) -> None:
        """Raise `JobStopped` in the running job; for a signal handler in the main thread.

        It returns when no job runs, or when the job was interrupted before.
        """
        self._raise(Cause.STOPPED, JobStopped("the worker was signalled twice to stop"))

    def _raise(self, cause: Cause, error: JobInterrupted) -> None:
        if self._live:
            self._live = False
            self.interruption = Interruption(cause, time.monotonic())
            raise error.interrupting(self._execution)

    @contextmanager
    def alarm(self, timeout: float, said: str) -> Iterator[None]:
        """Return a context in which `JobTimeout` is raised after some seconds.

        Args:
            timeout: the seconds.
            said: the text of the exception.
        """

        def ring(_signal: int, frame: Any) -> None:
            if frame is not None and frame.f_code in _CODE_OF_THE_CONTEXT:
                return  # the exception would skip the clean-up; the timer repeats
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._raise(Cause.TIMEOUT, JobTimeout(said))

        _unblock_alarm()
        self._live = True
        previous = signal.signal(signal.SIGALRM, ring)
        started = time.monotonic()
        before = 0.0
        # Two nested blocks: if the alarm comes during the clean-up, the outer block still restores
        # everything, and the alarm cannot come again.
        try:
            # Repeated until the handler runs: a signal just before a call that waits is missed.
            first = min(timeout, _LONGEST_TIMER)
            before = signal.setitimer(signal.ITIMER_REAL, first, _REPEAT_EVERY)[0]
            try:
                yield
            finally:
                self._live = False
        finally:
            left = max(before - (time.monotonic() - started), _SHORTEST_TIMER) if before else 0.0
            signal.setitimer(signal.ITIMER_REAL, 0)
            _unblock_alarm()
            signal.signal(signal.SIGALRM, previous)
            signal.setitimer(signal.ITIMER_REAL, left)


_manager: Any = type(TimerInterrupter().alarm(1.0, ""))
_CODE_OF_THE_CONTEXT = {_manager.__enter__.__code__, _manager.__exit__.__code__}
"""The code of the context manager: an exception there, outside its generator, skips the rest."""


def _unblock_alarm() -> None:
    """Unblock SIGALRM after a job that has blocked it, and discard one that is pending."""
    if signal.SIGALRM not in _pthread_sigmask(signal.SIG_BLOCK, ()):
        return
    # The pending signal is the earlier job's: it would interrupt the next one.
    handler = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.signal(signal.SIGALRM, handler)


def for_this_thread() -> TimerInterrupter | NoInterrupter:
    """Return an interrupter; outside the main thread, where no signal handlers run, an idle one."""
    if in_main_thread():
        return TimerInterrupter()
    return NoInterrupter()


def limited(seconds: float, said: str) -> AbstractContextManager[object]:
    """Return a context in which `JobTimeout` is raised after some seconds, in the main thread.

    Args:
        seconds: the limit.
        said: the text of the exception.
    """
    return TimerInterrupter().alarm(seconds, said) if in_main_thread() else nullcontext()


def overrun(timeout: float) -> str:
    """Return the error of a job past its timeout, which is in seconds."""
    return f"Job timed out after {timeout:g} seconds"


def in_main_thread() -> bool:
    """Return True in the main thread, where alone Python runs signal handlers."""
    return threading.current_thread() is threading.main_thread()
