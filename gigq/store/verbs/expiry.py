"""Expiry of pending jobs: those whose time is over end, and dependents follow their policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model import clock
from gigq.model.claim import ExpiredJob
from gigq.model.job_status import JobStatus
from gigq.store.verbs import dependents, rows_of_other_programs
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from gigq.store.database import Database, Row, Session

_TEXTS = {
    "unstarted": "JobExpired: no worker started it before it expired at ",
    "snoozing": "JobExpired: it raised Snooze until it expired at ",
    "last": "+00:00; the last reason: ",
}


def expire(session: Session) -> list[ExpiredJob]:
    """End the pending jobs whose time is over inside a transaction, at most 1000 of them.

    A job that has not been tried is cancelled. One that has been tried fails and keeps its error,
    and the reason of the last snooze is kept too.
    """
    rows = session.all("expire_jobs", {"now": session.now, **_TEXTS})
    return [_expired(session, row) for row in rows]


@repeated
def expire_some(db: Database) -> list[ExpiredJob]:
    """End pending jobs whose time is over, as `expire` does; lock nothing when there are none."""
    row = db.one("needs_before_claim", {"now": db.now()})
    if row is None or not (row["expired"] or row["unlinked"]):
        return []
    with db.transaction(durable=False) as session:
        rows_of_other_programs.link(session)
        return expire(session)


def next_expiry_at(db: Database) -> str | None:
    """Return the earliest time at which a pending job expires; None when no job does.

    A value that is no time, which foreign SQL may have stored, counts as none.
    """
    row = db.one("next_expiry_at")
    expires_at = row["expires_at"] if row else None
    return expires_at if clock.is_time(expires_at) else None


def _expired(session: Session, row: Row) -> ExpiredJob:
    parent = dependents.Parent(row["id"], row["name"], row["status"])
    after = dependents.fail_dependents(session, parent)
    return ExpiredJob(
        row["id"],
        row["name"],
        row["queue"],
        JobStatus(row["status"]),
        row["attempts"],
        row["max_attempts"],
        row["error"],
        after.due_in,
        after.failed_dependents,
    )
