"""Jobs that ended without success are made pending again, many in one transaction."""

from __future__ import annotations

import json
from collections import deque
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from gigq.status import WITHOUT_SUCCESS
from gigq.store import dependents
from gigq.store.dependents import Parent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gigq.store.database import Database, Row, Session

MOST_AT_ONCE = 500
"""Jobs that are changed in one transaction: others wait for its end."""

_DO_NOT_FAIL = ("run", "wait")


class Requeued(NamedTuple):
    """The effects of a requeue.

    Attributes:
        jobs: the ids of the jobs that are pending again.
        due_in: the queue of each of them that waits for no parent.
        refused: by the id of a job that would wait for ever, the parent that holds it back.
    """

    jobs: tuple[str, ...] = ()
    due_in: tuple[str, ...] = ()
    refused: Mapping[str, Parent] = {}


def requeue(db: Database, job_ids: Iterable[str], *, with_dependents: bool = False) -> Requeued:
    """Make failed, timed out and cancelled jobs pending again, with no attempt used.

    A job waits again for its parents that have not completed; a parent that was cleared counts as
    done. A job is refused while a parent has ended without success and is not requeued with it,
    unless the job's policy says that it runs or waits all the same.

    Args:
        db: the database.
        job_ids: the jobs; those in other states are left as they are.
        with_dependents: also the jobs that failed because of one of them, and because of those.
    """
    ids = list(dict.fromkeys(job_ids))
    if with_dependents:
        ids = list(dict.fromkeys([*ids, *_failed_because_of(db, ids)]))
    if len(ids) > 1:
        ids = _parents_first(db, ids)
    done: list[str] = []
    due_in: list[str] = []
    refused: dict[str, Parent] = {}
    for start in range(0, len(ids), MOST_AT_ONCE):
        with db.transaction(durable=True) as session:
            some = _requeue(session, ids[start : start + MOST_AT_ONCE])
        done += some.jobs
        due_in += some.due_in
        refused |= some.refused
    return Requeued(tuple(done), tuple(due_in), refused)


def _requeue(session: Session, ids: Sequence[str]) -> Requeued:
    found = session.all("jobs_to_requeue", {"ids": json.dumps(ids)})
    over = {row["id"]: row for row in found if row["status"] in WITHOUT_SUCCESS}
    named = {id_: _parents(over[id_]) for id_ in ids if id_ in over}
    refused = _held_back(session, over, named)
    waiting: dict[str, Row] = {}
    for id_ in named:
        row = None
        if id_ not in refused:
            row = session.one("requeue_job", {"job_id": id_, "now": session.now})
        if row is not None:
            waiting[id_] = row
    # Each of them is pending by now, so a child among them waits for its parent.
    due_in = [row["queue"] for id_, row in waiting.items() if not _waits_again(session, id_, row)]
    return Requeued(tuple(waiting), tuple(due_in), refused)


def _held_back(
    session: Session, over: Mapping[str, Row], named: Mapping[str, Collection[str]]
) -> dict[str, Parent]:
    """Return the jobs whose parent has ended without success and stays so. Parents come first."""
    outside = {parent for parents in named.values() for parent in parents} - over.keys()
    stay = {
        row["id"]: Parent(row["id"], row["name"], row["status"])
        for row in session.all("jobs_by_id", {"ids": json.dumps(list(outside))})
        if row["status"] in WITHOUT_SUCCESS
    }
    refused: dict[str, Parent] = {}
    for id_, parents in named.items():
        if over[id_]["on_parent_failure"] in _DO_NOT_FAIL:
            continue
        parent = next((parent for parent in parents if parent in stay), None)
        if parent is not None:
            refused[id_] = stay[parent]
            stay[id_] = Parent(id_, over[id_]["name"], over[id_]["status"])
    return refused


def _waits_again(session: Session, job_id: str, row: Row) -> bool:
    """Have a job wait for those of its parents that are not done; return whether there are any."""
    named = dependents.listed(row["dependencies"])
    if named == "[]":
        return False
    session.run("forget_edges_to", {"job_id": job_id, "parents": named})
    done = {"completed"}
    if row["on_parent_failure"] == "run":
        done |= WITHOUT_SUCCESS
    parents = session.all("jobs_by_id", {"ids": named})
    unmet = [parent["id"] for parent in parents if parent["status"] not in done]
    session.many("insert_edge", [(id_, job_id) for id_ in unmet])
    session.run("set_unmet", {"job_id": job_id, "unmet": len(unmet)})
    return bool(unmet)


def _failed_because_of(db: Database, ids: Iterable[str]) -> Iterable[str]:
    children: dict[str, list[str]] = {}
    for row in db.all("failed_because_of_parents"):
        for parent in _parents(row):
            children.setdefault(parent, []).append(row["id"])
    seen, left = set[str](), deque(ids)
    while left:
        for child in children.get(left.popleft(), ()):
            if child not in seen:
                seen.add(child)
                left.append(child)
                yield child


def _parents_first(db: Database, ids: list[str]) -> list[str]:
    rows = db.all("jobs_to_requeue", {"ids": json.dumps(ids)})
    known = {row["id"] for row in rows}
    graph = {row["id"]: [id_ for id_ in _parents(row) if id_ in known] for row in rows}
    if not any(graph.values()):
        return ids
    try:
        return [*TopologicalSorter(graph).static_order()]
    except CycleError:  # raw SQL has made it
        return ids


def _parents(row: Row) -> list[str]:
    ids: list[str] = json.loads(dependents.listed(row["dependencies"]))
    return ids
