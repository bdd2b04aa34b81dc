"""Facts about one attempt that several commands show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.job_status import JobStatus
from gigq.model.runs import is_of_plain_worker
from gigq.store.sqlite.file.filesystem import resolve
from gigq.store.sqlite.processes import lock_holders

if TYPE_CHECKING:
    from collections.abc import Mapping

ABANDONED = "the process that ran it has ended, and the next start of gigqd or a worker settles it"


def is_in_plain_worker(execution: Mapping[str, Any]) -> bool:
    """Return True when a plain worker, and not a daemon, ran the attempt."""
    return is_of_plain_worker(execution["run"])


def is_abandoned(database: str, execution: Mapping[str, Any]) -> bool:
    """Return True when an attempt is recorded as running but its process has ended."""
    if execution["status"] != JobStatus.RUNNING.value:
        return False
    return lock_holders.is_gone(resolve(database), execution["run"]) is True
