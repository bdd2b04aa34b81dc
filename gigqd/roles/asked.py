"""How a worker's job is asked to end before its process is killed."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gigq.errors import JobCancelled, JobStopped, JobTimeout
from gigqd.scoreboard import Why

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.claim import Claim
    from gigq.errors import JobInterrupted
    from gigqd.roles.line import Line
    from gigqd.spawn import Birth

_STOP = (JobStopped, "the worker stops and cannot wait for the job any longer")
_WORDS: dict[Why, tuple[type[JobInterrupted], str]] = {
    Why.TIMEOUT: (JobTimeout, "the job is still running at its time limit"),
    Why.CANCEL: (JobCancelled, "the job was cancelled while it was running"),
    Why.STOP: _STOP,
}


class AskedToEnd:
    """Raises an exception in the job that the supervisor's signal is meant for, and in no other.

    JobTimeout at its deadline, JobCancelled when somebody has cancelled it, JobStopped when the
    daemon cannot wait for it; once, and never between jobs.

    Attributes:
        interrupted: a job of this worker was interrupted, wherever it was in its code.
    """

    def __init__(self, birth: Birth, line: Line) -> None:
        self._cell = birth.cell
        self._line = line
        self._armed = False
        self._execution = ""
        self.interrupted = False
        # From the start: without a handler the signal would end the worker.
        signal.signal(signal.SIGUSR2, self._on_signal)

    @contextmanager
    def armed(self, claim: Claim) -> Iterator[None]:
        """While the job's function runs, let the signal through."""
        signal.signal(signal.SIGUSR2, self._on_signal)  # an earlier job may have set its own
        self._execution = claim.execution_id
        self._armed = True
        try:
            self._raise_if_meant()  # the signal may have come before there was anything to raise in
            yield
        finally:
            self._armed = False

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._raise_if_meant()

    def _raise_if_meant(self) -> None:
        if not self._armed:
            return
        orders = self._cell.orders()
        if orders.asked == self._line.started:
            self._armed = False
            self.interrupted = True
            kind, words = _WORDS.get(orders.why, _STOP)
            raise kind(words).interrupting(self._execution)
