"""Work after foreign SQL: a subclass may settle a job with statements of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.status import FINISHED, JobStatus
from gigq.store.verbs import dependents

if TYPE_CHECKING:
    from gigq.store.database import Database

_FINISHED = frozenset(status.value for status in FINISHED)


def follow_up(db: Database, job_id: str) -> tuple[str, ...]:
    """Apply a finished job's status to its dependents, unless that was done already.

    Returns:
        The queue of each dependent that became due.
    """
    with db.transaction(durable=False) as session:
        job = session.one("job", {"job_id": job_id})
        if job is None or job["status"] not in _FINISHED:
            return ()
        if job["status"] == JobStatus.COMPLETED.value:
            return dependents.release(session, job_id)
        parent = dependents.Parent(job_id, job["name"], job["status"])
        return dependents.cut_off(session, parent).due_in


def end_transaction(connection: object, *, keep: bool) -> None:
    """Commit or roll back a transaction that foreign SQL left open."""
    end = getattr(connection, "commit" if keep else "rollback")
    end()
