"""Rows that other programs have written: new jobs that name parents, and parents that are done.

GigQ 0.5.1 read the lists of parents whenever it claimed, and compared local times. Programs with
SQL of their own rely on it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gigq import clock
from gigq.store import dependents

if TYPE_CHECKING:
    from gigq.store.database import Database, Session

_AT_ONCE = 500
_QUICK = 0.01
_SHARE = 20
_not_before: WeakKeyDictionary[Database, float] = WeakKeyDictionary()


def follow(db: Database) -> None:
    """Link new rows and release what waits for no parent, as claims do, for idle workers."""
    if db.all("unlinked_jobs"):
        with db.transaction(durable=False) as session:
            link(session)
    release_done(db)


def link(session: Session) -> None:
    """Have new rows of other programs wait for their parents, and for their time.

    A parent that is not stored counts as done, as it did in GigQ 0.5.1.
    """
    rows = session.all("unlinked_jobs")
    if not rows:
        return
    session.run("insert_edges_of_unlinked", {"rows": json.dumps([row["row"] for row in rows])})
    session.many(
        "mark_linked",
        [{"row": row["row"], "retry_after": _stored_time(row["retry_after"])} for row in rows],
    )


def release_done(db: Database) -> bool:
    """Release the dependents of parents that other programs have completed or deleted.

    Called when nothing is due. Where very many jobs wait, that takes long, and is not done each
    time.

    Returns:
        Whether there were any.
    """
    begun = time.monotonic()
    if begun < _not_before.get(db, 0.0):
        return False
    rows = db.all("done_but_awaited", {"limit": _AT_ONCE})
    took = time.monotonic() - begun
    if took > _QUICK:
        _not_before[db] = begun + _SHARE * took
    for row in rows:
        with db.transaction(durable=False) as session:
            if session.one("is_unfinished", row) is None:
                dependents.release(session, row["parent_id"])
    return bool(rows)


def _stored_time(value: Any) -> Any:
    """Return a time as it is compared; what is no time is left for the claim to refuse."""
    return clock.normalise(value) if clock.is_time(value) else value
