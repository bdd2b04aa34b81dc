"""What a worker reports of a job, as events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.status import Cause, JobStatus

if TYPE_CHECKING:
    from gigq.claim import Claim, Settled

_EVENTS = {
    JobStatus.COMPLETED: (events.JOB_COMPLETED, logging.INFO),
    JobStatus.PENDING: (events.JOB_RETRYING, logging.WARNING),
    JobStatus.FAILED: (events.JOB_FAILED, logging.ERROR),
    JobStatus.TIMEOUT: (events.JOB_TIMEOUT, logging.ERROR),
    JobStatus.CANCELLED: (events.JOB_CANCELLED, logging.WARNING),
}


def started(claim: Claim, logger: logging.Logger) -> None:
    """An attempt begins."""
    events.emit(events.JOB_STARTED, source=logger, **_told(claim))


def settled(claim: Claim, done: Settled | None, logger: logging.Logger) -> None:
    """What settling did; without `done`, somebody else had settled the execution before."""
    if done is None:
        superseded = events.JOB_SUPERSEDED
        events.emit(superseded, level=logging.WARNING, source=logger, **_told(claim))
        return
    name, level = _EVENTS[done.job_status]
    events.emit(name, level=level, source=logger, **_told(claim), retry_after=done.retry_after)
    for job_id in done.cut_off:
        cause = Cause.PARENT.value
        events.emit(
            events.JOB_FAILED, level=logging.ERROR, source=logger, job_id=job_id, cause=cause
        )


def unreadable(row: dict[str, Any], error: Exception, logger: logging.Logger) -> None:
    """A claimed row, written by foreign SQL, is not a job."""
    fields = {"job_id": row["id"], "job": row.get("name"), "error": str(error)}
    events.emit(events.JOB_FAILED, level=logging.ERROR, source=logger, **fields)


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
