"""Facts about one attempt that several commands show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.job_status import JobStatus
from gigq.model.runs import is_of_plain_worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.cli.open_queue import ReadQueue

ABANDONED = "the process that ran it has ended, and the next start of gigqd or a worker settles it"
ABANDONED_WITH_LEASE = (
    "the process that ran it has ended, and another daemon or worker settles it once its lease is "
    "over (gigq workers)"
)


def is_in_plain_worker(execution: Mapping[str, Any]) -> bool:
    """Return True when a plain worker, and not a daemon, ran the attempt."""
    return is_of_plain_worker(execution["run"])


def is_abandoned(queue: ReadQueue, execution: Mapping[str, Any]) -> bool:
    """Return True when an attempt is recorded as running but its process has ended."""
    is_running: bool = execution["status"] == JobStatus.RUNNING.value
    return is_running and queue.place.is_gone(execution["run"])


def why_abandoned(queue: ReadQueue) -> str:
    """Return what an abandoned attempt of a queue waits for."""
    return ABANDONED_WITH_LEASE if queue.place.is_shared else ABANDONED
