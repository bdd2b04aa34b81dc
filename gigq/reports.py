"""What a worker reports of its jobs, as events."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.status import Cause, JobStatus

if TYPE_CHECKING:
    from gigq.claim import Claim, Settled

_SUM_EVERY = 1.0
_EVENTS = {
    JobStatus.COMPLETED: (events.JOB_COMPLETED, logging.INFO),
    JobStatus.PENDING: (events.JOB_RETRYING, logging.WARNING),
    JobStatus.FAILED: (events.JOB_FAILED, logging.ERROR),
    JobStatus.TIMEOUT: (events.JOB_TIMEOUT, logging.ERROR),
    JobStatus.CANCELLED: (events.JOB_CANCELLED, logging.WARNING),
}


class Reports:
    """The events of one worker thread.

    Short jobs that travel together are told of one by one at level DEBUG only, and summed up
    once a second: a log that grows faster than anybody reads would cost more than the jobs.

    Args:
        logger: where they go, besides the subscribers.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._completed = 0
        self._sum_at = 0.0

    def started(self, claim: Claim, *, among_many: bool) -> None:
        """An attempt begins."""
        level = logging.DEBUG if among_many else logging.INFO
        if events.heard(level, self._logger):
            events.emit(events.JOB_STARTED, level=level, source=self._logger, **_told(claim))

    def settled(self, claim: Claim, done: Settled | None, *, among_many: bool) -> None:
        """What settling did; without `done`, somebody else had settled the execution before."""
        if done is None:
            superseded = events.JOB_SUPERSEDED
            events.emit(superseded, level=logging.WARNING, source=self._logger, **_told(claim))
            return
        name, level = _EVENTS[done.job_status]
        if among_many and done.job_status is JobStatus.COMPLETED:
            self._completed += 1
            level = logging.DEBUG
        if events.heard(level, self._logger):
            told = {**_told(claim), "retry_after": done.retry_after}
            events.emit(name, level=level, source=self._logger, **told)
        for job_id in done.cut_off:
            self._failed(job_id=job_id, cause=Cause.PARENT.value)

    def handed_back(self, claim: Claim, done: Settled) -> None:
        """A job was claimed and did not begin: it is due again, or was cancelled meanwhile."""
        if done.job_status is not JobStatus.PENDING:
            self.settled(claim, done, among_many=False)

    def sum_up(self, *, worker_is_idle: bool) -> None:
        """Tell how many of many have been completed, if it is time to."""
        if not self._completed:
            return
        now = time.monotonic()
        if worker_is_idle or now >= self._sum_at:
            events.emit(events.JOBS_COMPLETED, source=self._logger, count=self._completed)
            self._completed = 0
            self._sum_at = now + _SUM_EVERY

    def unreadable(self, row: dict[str, Any], error: Exception) -> None:
        """A claimed row, written by foreign SQL, is not a job."""
        self._failed(job_id=row["id"], job=row.get("name"), error=str(error))

    def _failed(self, **fields: Any) -> None:
        events.emit(events.JOB_FAILED, level=logging.ERROR, source=self._logger, **fields)


def _told(claim: Claim) -> dict[str, Any]:
    return {
        "job_id": claim.job_id,
        "job": claim.name,
        "attempt": claim.attempt,
        "max_attempts": claim.max_attempts,
        "execution": claim.execution_id,
        "worker": claim.worker_id,
        "queue": claim.queue,
    }
