"""Foreign SQL: rows that other programs, or subclasses of `Worker`, wrote with their own SQL.

GigQ 0.5.1 read the lists of parents at every claim and compared local times. Programs with SQL of
their own rely on that.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gigq.model import clock
from gigq.model.job_status import FINISHED, JobStatus
from gigq.model.storable_text import storable_list
from gigq.store.verbs import dependents, settle
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from gigq.store.database import Database, Session

_FINISHED = frozenset(status.value for status in FINISHED)
_TIMES = ("retry_after", "expires_at")
_AT_ONCE = 500
_QUICK = 0.01
_SHARE = 20
_not_before: WeakKeyDictionary[Database, float] = WeakKeyDictionary()


@repeated
def follow(db: Database) -> None:
    """Link new rows and release dependents, as claims do, while workers are idle."""
    if db.all("unlinked_jobs"):
        with db.transaction(durable=False) as session:
            link(session)
    release_done(db)


def link(session: Session) -> None:
    """Make new rows of other programs wait for their parents, and read their times.

    A parent that is not stored counts as done, as it did in GigQ 0.5.1. A job whose expiry is no
    time fails.
    """
    rows = session.all("unlinked_jobs_to_link")
    if not rows:
        return
    named = {id_ for row in rows for id_ in json.loads(dependents.listed(row["dependencies"]))}
    session.lock("parents", {"ids": storable_list(named)})
    session.run("insert_edges_of_unlinked", {"rows": json.dumps([row["row"] for row in rows])})
    session.many(
        "mark_linked",
        [{"row": row["row"], **{name: _stored_time(row[name]) for name in _TIMES}} for row in rows],
    )
    for row in rows:
        if row["expires_at"] is not None and not clock.is_time(row["expires_at"]):
            settle.fail_unreadable(session, row, "expires_at", "which is no time")


def release_done(db: Database) -> bool:
    """Release the dependents of parents that other programs have completed or deleted.

    Callers use this when no job is due. It takes long where very many jobs wait, and then skips
    calls, so that it uses at most a twentieth of the time.

    Returns:
        True when there were such parents.
    """
    begun = time.monotonic()
    if begun < _not_before.get(db, 0.0):
        return False
    rows = db.all("done_but_awaited", {"limit": _AT_ONCE})
    took = time.monotonic() - begun
    if took > _QUICK:
        _not_before[db] = begun + _SHARE * took
    for row in rows:
        _release_if_done(db, row["parent_id"])
    return bool(rows)


@repeated
def _release_if_done(db: Database, parent_id: str) -> None:
    with db.transaction(durable=False) as session:
        session.lock("parents", {"ids": storable_list([parent_id])})
        if session.one("is_unfinished", {"parent_id": parent_id}) is None:
            dependents.release(session, parent_id)


@repeated
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
        return dependents.fail_dependents(session, parent).due_in


def end_transaction(connection: object, *, keep: bool) -> None:
    """Commit or roll back a transaction that foreign SQL left open."""
    end = getattr(connection, "commit" if keep else "rollback")
    end()


def _stored_time(value: Any) -> Any:
    """Return a time in the form in which times are compared; the claim refuses other values."""
    return clock.normalise(value) if clock.is_time(value) else value
