"""Claims and outcomes of a transaction whose commit was not confirmed: the connection was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigq.model.claim import Settled
from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable_list, storable_value
from gigq.store.verbs import settle
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from gigq.model.claim import Finished
    from gigq.store.database import Database


@repeated
def release(db: Database, first_id: str) -> None:
    """Release the claims of a transaction, if it was committed. None of them may have started.

    Args:
        db: the database.
        first_id: the execution id of its first claim.
    """
    with db.transaction(durable=False) as session:
        # A server that has lost its client may still be committing.
        session.lock("execution", {"execution_id": first_id})
        rows = session.all("executions_opened_together", {"execution_id": first_id})
        session.lock("jobs", {"ids": storable_list(row["job_id"] for row in rows)})
        settle.release_together(session, [(row["execution_id"], row["job_id"]) for row in rows])


def recorded(db: Database, finished: Finished) -> Settled | None:
    """Return the effects of an outcome that was recorded before.

    Returns:
        None when another process has settled the execution. Dependents that became due are left
        out: another worker may have started them.
    """
    ids = finished.claim.job_id, finished.claim.execution_id
    row = db.one("recorded_outcome", {"execution_id": finished.claim.execution_id})
    if row is None or row["recorded"] == JobStatus.RUNNING.value:
        return None
    is_success = row["recorded"] == JobStatus.COMPLETED.value
    if is_success is not (finished.result.status is JobStatus.COMPLETED):
        return None
    if not is_success and row["error"] != storable_value(finished.result.error):
        return None
    status = JobStatus(row["status"]) if row["execution_id"] == ids[1] else JobStatus.PENDING
    return Settled(
        *ids,
        status,
        row["attempts"],
        row["max_attempts"],
        row["retry_after"] if status is JobStatus.PENDING else None,
        due_in=(row["queue"],) if status is JobStatus.PENDING else (),
        cause=Cause(row["cause"]) if row["cause"] else None,
    )
