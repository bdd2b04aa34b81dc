"""Lists of jobs by conditions: pages, ids, and numbers for each queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable_list
from gigq.store.verbs import prune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigq.store.database import Database, Row

_FEW = 2000


class Filter(NamedTuple):
    """The conditions of a list of jobs; None sets no condition.

    Attributes:
        statuses: one of these.
        queues: in one of these named queues.
        workflow: the name of the workflow.
        name: a part of the name, in any case of ASCII letters.
        error: a part of the error, in any case of ASCII letters.
        since: made at this time or later, as stored text.
        before: made earlier.
    """

    statuses: Sequence[str] | None = None
    queues: Sequence[str] | None = None
    workflow: str | None = None
    name: str | None = None
    error: str | None = None
    since: str | None = None
    before: str | None = None


_ANY = Filter()


def page(db: Database, conditions: Filter = _ANY, limit: int = 100, offset: int = 0) -> list[Row]:
    """Return the newest jobs, at most `limit` after the first `offset`; all for a limit below 0.

    Of the jobs of one finished status, those stored last are the newest.
    """
    given = {**_parameters(conditions), "limit": limit, "offset": offset}
    status = (
        conditions.statuses[0] if conditions.statuses and len(conditions.statuses) == 1 else None
    )
    if status == JobStatus.RUNNING.value:
        return db.all("page_of_running", given)
    if status in prune.FINISHED:
        return db.all("page_of_finished", given)
    if status == JobStatus.PENDING.value and _are_few_pending(db):
        return db.all("page_of_few_pending", given)
    return db.all("page", given)


def delayed_page(
    db: Database, conditions: Filter = _ANY, limit: int = 100, offset: int = 0
) -> list[Row]:
    """Return pending jobs whose time has not come, the next one first."""
    given = {**_parameters(conditions), "limit": limit, "offset": offset, "now": db.now()}
    return db.all("page_of_delayed", given)


def delayed_summary(db: Database, queues: Sequence[str] | None = None) -> tuple[int, str | None]:
    """Return the number of delayed jobs and the time of the next one; None without any."""
    row = db.one("summary_of_delayed", {"queues": _listed(queues), "now": db.now()})
    return (row["jobs"], row["next_at"]) if row else (0, None)


def ids(db: Database, conditions: Filter, *, delayed: bool = False) -> list[str]:
    """Return the ids of the jobs, oldest first; if `delayed`, of those whose time has not come."""
    given = {**_parameters(conditions), "due_after": db.now() if delayed else None}
    return [row["id"] for row in db.all("ids_of_jobs", given)]


def counts_by_queue(db: Database, queues: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
    """Return the number of jobs of each status, for each queue or for the given ones."""
    found: dict[str, dict[str, int]] = {}
    for row in db.all("counts_by_queue", {"queues": _listed(queues)}):
        found.setdefault(row["queue"], {})[row["status"]] = int(row["jobs"])
    return found


def _are_few_pending(db: Database) -> bool:
    row = db.one("pending_up_to", {"limit": _FEW})
    return row is None or row["jobs"] < _FEW


def _parameters(conditions: Filter) -> dict[str, str | None]:
    return {
        **conditions._asdict(),
        "status": conditions.statuses[0] if conditions.statuses else None,
        "statuses": _listed(conditions.statuses),
        "queues": _listed(conditions.queues),
    }


def _listed(names: Sequence[str] | None) -> str | None:
    return None if names is None else storable_list(names)
