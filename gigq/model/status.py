"""The states of a job and the moves between them."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobStatus(Enum):
    """Enum representing the possible states of a job."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


FINISHED = frozenset(
    {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT}
)
"""States that a job leaves only when somebody requeues it."""

WITHOUT_SUCCESS = frozenset(status.value for status in FINISHED - {JobStatus.COMPLETED})
"""Finished states, as they are stored, that fail the jobs that depend on one."""

TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        # claimed; cancelled before its start; cut off by a parent that ended without success
        JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED}),
        # settled for good; or pending again: another attempt is left, or the start was given back
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
        # requeued by hand, with its attempts reset
        JobStatus.FAILED: frozenset({JobStatus.PENDING}),
        JobStatus.TIMEOUT: frozenset({JobStatus.PENDING}),
        JobStatus.CANCELLED: frozenset({JobStatus.PENDING}),
    }
)
"""Every move a job may make. The store's statements are guarded accordingly."""
