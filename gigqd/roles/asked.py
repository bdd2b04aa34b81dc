"""How a worker's job is asked to end before its process is killed."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gigq.cause import Cause
from gigq.errors import JobCancelled, JobStopped, JobTimeout
from gigq.outcome import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.claim import Claim
    from gigq.errors import JobInterrupted
    from gigqd.roles.line import Line
    from gigqd.spawn import Birth

# What `signal` itself offers makes an enumeration of every answer.
_signal: Any = import_module("_signal")

_EXCEPTIONS: dict[Cause, tuple[type[JobInterrupted], str]] = {
    Cause.TIMEOUT: (JobTimeout, "the job is still running at its time limit"),
    Cause.CANCELLED: (JobCancelled, "the job was cancelled while it was running"),
    Cause.STOPPED: (JobStopped, "the worker stops and cannot wait for the job any longer"),
}


class AskedToEnd:
    """Raises an exception in the job that the supervisor's signal is meant for, and in no other.

    JobTimeout at its deadline, JobCancelled when it was cancelled, JobStopped when the
    daemon cannot wait for it; once, and never between jobs. The supervisor repeats the signal until
    the scoreboard shows that the exception was raised. The same signal may only mean that the
    worker must release the other claims that it holds. A process that a job forks does not
    answer it.

    Attributes:
        interrupted: a job of this worker was interrupted, wherever it was in its code.
        interruption: what the job that was armed last was interrupted by; None when it was not.
        let_go: lets go of the other claims.
    """

    def __init__(self, birth: Birth, line: Line) -> None:
        self._cell = birth.cell
        self._line = line
        self._armed = False
        self._execution = ""
        self._letting_go = False
        self.interrupted = False
        self.interruption: Interruption | None = None
        self.let_go: Callable[[], None] = _nothing
        self._handler = self._on_signal
        # From the start: without a handler the signal would end the worker.
        _signal.signal(signal.SIGUSR2, self._handler)
        os.register_at_fork(after_in_child=self._give_up)

    def armed(self, claim: Claim) -> AskedToEnd:
        """While the job's function runs, let the signal through."""
        self._execution = claim.execution_id
        self.interruption = None
        return self

    def __enter__(self) -> None:
        if _signal.getsignal(signal.SIGUSR2) is not self._handler:
            signal.signal(signal.SIGUSR2, self._handler)  # an earlier job has set its own
        self._armed = True
        try:
            self._raise_if_meant()  # the signal may have come before there was anything to raise in
        except BaseException:
            self._armed = False
            raise

    def __exit__(self, *_: object) -> None:
        self._armed = False

    def _on_signal(self, _number: int, _frame: object) -> None:
        # Another signal may come while this one is answered: the first one looks again for it.
        if self._armed and not self._letting_go and self._cell.let_go == self._line.started:
            self._letting_go = True
            try:
                self.let_go()
            finally:
                self._letting_go = False
        if not self._letting_go:
            self._raise_if_meant()

    def _raise_if_meant(self) -> None:
        if self._armed and self._cell.asked == self._line.started:
            self._armed = False
            self.interrupted = True
            asked = self._cell.orders().cause
            cause = asked if asked in _EXCEPTIONS else Cause.STOPPED
            kind, words = _EXCEPTIONS[cause]
            self.interruption = Interruption(cause, time.monotonic())
            self._line.interrupted()
            raise kind(words).interrupting(self._execution)

    def _give_up(self) -> None:
        """Answer the signal no more, in a process forked by a job."""
        self._armed = False
        if _signal.getsignal(signal.SIGUSR2) is self._handler:
            _signal.signal(signal.SIGUSR2, _signal.SIG_DFL)


def _nothing() -> None:
    """No claims are held."""
