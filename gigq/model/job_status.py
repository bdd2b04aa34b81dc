"""The statuses of a job and the transitions between them."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobStatus(Enum):
    """The status of a job; its value is the text that the database stores.

    Attributes:
        PENDING: "pending": waits for its time, for a parent or for a worker.
        RUNNING: "running": a worker has claimed it.
        COMPLETED: "completed": its function returned.
        FAILED: "failed": no attempt is left, or a parent ended without success.
        CANCELLED: "cancelled": cancelled before it ran, or while it ran.
        TIMEOUT: "timeout": its last attempt ran longer than its timeout.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


FINISHED = frozenset(
    {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT}
)
"""Statuses that a job leaves only by a requeue."""

WITHOUT_SUCCESS = frozenset(status.value for status in FINISHED - {JobStatus.COMPLETED})
"""Finished statuses, as stored, that count as a failure for dependents."""

TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        # claimed; cancelled before its start; failed because of a parent
        JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED}),
        # settled for good; or pending again: another attempt is left, or the claim was released
        JobStatus.RUNNING: frozenset(
            {
                JobStatus.COMPLETED,
                JobStatus.FAILED,
                JobStatus.TIMEOUT,
                JobStatus.CANCELLED,
                JobStatus.PENDING,
            }
        ),
        JobStatus.COMPLETED: frozenset(),
        # requeued, with its attempts reset
        JobStatus.FAILED: frozenset({JobStatus.PENDING}),
        JobStatus.TIMEOUT: frozenset({JobStatus.PENDING}),
        JobStatus.CANCELLED: frozenset({JobStatus.PENDING}),
    }
)
"""All allowed transitions. The store's statements are guarded accordingly."""
