"""Interruption of a worker's job by an exception, before its process is killed."""

from __future__ import annotations

import os
import signal
import time
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gigq.errors import JobCancelled, JobStopped, JobTimeout
from gigq.execution.timer_interrupt import LONGEST_RETRY_FUNCTION
from gigq.model.cause import Cause
from gigq.model.execution_result import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from gigq.errors import JobInterrupted
    from gigq.model.claim import Claim
    from gigqd.process.spawn import ChildContext
    from gigqd.worker.reporting import WorkerReports

# The functions of `signal` itself convert every result to an enumeration.
_signal: Any = import_module("_signal")

_EXCEPTIONS: dict[Cause, tuple[type[JobInterrupted], str]] = {
    Cause.TIMEOUT: (JobTimeout, "the job is still running at its time limit"),
    Cause.CANCELLED: (JobCancelled, "the job was cancelled while it was running"),
    Cause.STOPPED: (JobStopped, "the worker stops and cannot wait for the job any longer"),
}

_SHORTEST_TIME = 0.001


class JobInterrupter:
    """A signal handler that raises an exception in the job that the supervisor interrupts.

    The exception is JobTimeout at the deadline, JobCancelled after a cancel, and JobStopped when
    the daemon stops. It is raised once, and never between jobs. The supervisor repeats the signal
    until the scoreboard shows that the exception was raised. The same signal can also mean that
    the worker must release its other claims. Processes that a job forks lose the handler.

    Args:
        context: the context of the worker, with its cell.
        reports: the reports of the worker.
        grace: seconds from an interruption at the deadline until the worker is killed.

    Attributes:
        interrupted: True once a job of this worker was interrupted.
        interruption: the interruption of the last job; None when it was not interrupted.
        release: settles or releases the other claims.
    """

    def __init__(self, context: ChildContext, reports: WorkerReports, grace: float) -> None:
        self._grace = grace
        self._cell = context.cell
        self._reports = reports
        self._armed = False
        self._execution = ""
        self._releasing = False
        self.interrupted = False
        self.interruption: Interruption | None = None
        self.release: Callable[[], None] = _nothing
        self._handler = self._on_signal
        # From the start: without a handler the signal would kill the worker.
        _signal.signal(signal.SIGUSR2, self._handler)
        os.register_at_fork(after_in_child=self._remove_handler)

    def armed(self, claim: Claim) -> JobInterrupter:
        """Return the context manager around a job's function, in which the signal counts."""
        self._execution = claim.execution_id
        self.interruption = None
        return self

    def armed_again(self) -> AbstractContextManager[object]:
        """Return a context for more code of the same attempt; an interruption is not repeated."""
        return self if self.interruption is None else nullcontext()

    def time_left(self) -> float:
        """Return the seconds that such code may take: half of the time until the kill."""
        if self.interruption is None:
            return LONGEST_RETRY_FUNCTION
        left = self._grace - (time.monotonic() - self.interruption.at)
        return min(max(left / 2, _SHORTEST_TIME), LONGEST_RETRY_FUNCTION)

    def __enter__(self) -> None:
        if _signal.getsignal(signal.SIGUSR2) is not self._handler:
            signal.signal(signal.SIGUSR2, self._handler)  # an earlier job replaced the handler
        self._armed = True
        try:
            self._raise_if_meant()  # the signal may have come before the function began
        except BaseException:
            self._armed = False
            raise

    def __exit__(self, *_: object) -> None:
        self._armed = False

    def _on_signal(self, _number: int, _frame: object) -> None:
        # A signal that comes during `release` only returns: this call checks again afterwards.
        if self._armed and not self._releasing and self._cell.release == self._reports.started:
            self._releasing = True
            try:
                self.release()
            finally:
                self._releasing = False
        if not self._releasing:
            self._raise_if_meant()

    def _raise_if_meant(self) -> None:
        if self._armed and self._cell.to_interrupt == self._reports.started:
            self._armed = False
            self.interrupted = True
            to_interrupt = self._cell.orders().cause
            cause = to_interrupt if to_interrupt in _EXCEPTIONS else Cause.STOPPED
            kind, words = _EXCEPTIONS[cause]
            self.interruption = Interruption(cause, time.monotonic())
            self._reports.interrupted()
            raise kind(words).interrupting(self._execution)

    def _remove_handler(self) -> None:
        """Restore the default handler in a process that a job forked."""
        self._armed = False
        if _signal.getsignal(signal.SIGUSR2) is self._handler:
            _signal.signal(signal.SIGUSR2, _signal.SIG_DFL)


def _nothing() -> None:
    """Do nothing: the worker holds no other claims."""
