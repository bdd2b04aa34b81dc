"""Requeue of jobs that ended without success, many in one transaction."""

from __future__ import annotations

import json
from collections import deque
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from gigq.model.job_status import WITHOUT_SUCCESS
from gigq.model.storable_text import storable_list
from gigq.store.verbs import dependents
from gigq.store.verbs.batches import batches
from gigq.store.verbs.deadlock import repeated
from gigq.store.verbs.dependents import Parent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from gigq.store.database import Database, Row, Session

_DO_NOT_FAIL = ("run", "wait")


class Effects(NamedTuple):
    """The effects of a requeue.

    Attributes:
        jobs: the ids of the jobs that are pending again.
        due_in: the queue of each of them that waits for no parent.
        refused: the parent that prevents a requeue, by the id of the refused job.
        in_circle: the ids of jobs that would wait for each other for ever.
        others: the status of every other job, by its id; None when there is no such job.
    """

    jobs: tuple[str, ...] = ()
    due_in: tuple[str, ...] = ()
    refused: Mapping[str, Parent] = {}
    in_circle: tuple[str, ...] = ()
    others: Mapping[str, str | None] = {}


class Again(NamedTuple):
    """The way in which jobs are tried again.

    Attributes:
        one_more: True to leave one attempt to a job that has used some; otherwise no attempt counts
            as used.
        not_before: returns the time before which they are not claimed, for the time of the
            transaction; None for now.
    """

    one_more: bool = False
    not_before: Callable[[str], str | None] = lambda _now: None


_AT_ONCE = Again()


def requeue(
    db: Database,
    job_ids: Iterable[str],
    *,
    with_dependents: bool = False,
    again: Again = _AT_ONCE,
) -> Effects:
    """Make failed, timed out and cancelled jobs pending again.

    A job waits again for its parents that have not completed; a deleted parent counts as done. A
    job is refused while a parent has ended without success and is not requeued with it, unless
    the job's policy is `run` or `wait`.

    Args:
        db: the database.
        job_ids: the jobs; those in other states are left as they are.
        with_dependents: True to requeue jobs that failed because of these, directly or in turn.
        again: the attempts that they get, and when.
    """
    ids = list(dict.fromkeys(job_ids))
    if with_dependents:
        ids = list(dict.fromkeys([*ids, *_failed_because_of(db, ids)]))
    ids, in_circle = _parents_first(db, ids)
    done: list[str] = []
    due_in: list[str] = []
    refused: dict[str, Parent] = {}
    others: dict[str, str | None] = {}
    for batch in batches(ids):
        some = _requeue_some(db, batch, again)
        done += some.jobs
        due_in += some.due_in
        refused |= some.refused
        others |= some.others
    return Effects(tuple(done), tuple(due_in), refused, tuple(in_circle), others)


@repeated
def _requeue_some(db: Database, ids: Sequence[str], again: Again) -> Effects:
    with db.transaction(durable=True) as session:
        _lock(session, ids)
        return _requeue(session, ids, again)


def _lock(session: Session, ids: Sequence[str]) -> None:
    """Lock the parents before the jobs, as the end of a parent does."""
    rows = session.all("jobs_to_requeue", {"ids": storable_list(ids)})
    outside = {parent for row in rows for parent in _parents(row)} - set(ids)
    session.lock("parents", {"ids": storable_list(outside)})
    session.lock("jobs", {"ids": storable_list(ids)})


def _requeue(session: Session, ids: Sequence[str], again: Again) -> Effects:
    found = {row["id"]: row for row in session.all("jobs_to_requeue", {"ids": storable_list(ids)})}
    over = {id_: row for id_, row in found.items() if row["status"] in WITHOUT_SUCCESS}
    others = {id_: found[id_]["status"] if id_ in found else None for id_ in ids if id_ not in over}
    named = {id_: _parents(over[id_]) for id_ in ids if id_ in over}
    refused = _held_back(session, over, named)
    retry_after = again.not_before(session.now)
    values = {"one_more": again.one_more, "retry_after": retry_after, "now": session.now}
    wanted = storable_list(id_ for id_ in named if id_ not in refused)
    changed = {row["id"]: row for row in session.all("requeue_jobs", {"ids": wanted, **values})}
    waiting = {id_: changed[id_] for id_ in named if id_ in changed}
    # All of them are pending by now, so a child among them waits for its parent.
    due_in = [row["queue"] for id_, row in waiting.items() if not _waits_again(session, id_, row)]
    return Effects(tuple(waiting), tuple(due_in), refused, others=others)


def _held_back(
    session: Session, over: Mapping[str, Row], named: Mapping[str, Collection[str]]
) -> dict[str, Parent]:
    """Return the jobs to refuse, whose parent stays without success; `named` has parents first."""
    outside = {parent for parents in named.values() for parent in parents} - over.keys()
    stay = {
        row["id"]: Parent(row["id"], row["name"], row["status"])
        for row in session.all("jobs_by_id", {"ids": storable_list(outside)})
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
    """Make a job wait for its unfinished parents; return True when there are any."""
    named = dependents.listed(row["dependencies"])
    if named == "[]":
        return False
    session.run("delete_edges_to", {"job_id": job_id, "parents": named})
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


def _parents_first(db: Database, ids: list[str]) -> tuple[list[str], list[str]]:
    """Return the jobs with parents first, and the jobs that have no place in such an order.

    The latter wait for each other in a circle that foreign SQL made, or for a job in one.
    """
    rows = db.all("jobs_to_requeue", {"ids": storable_list(ids)})
    waiting = {row["id"]: row for row in rows if row["status"] != "completed"}
    graph = {id_: [one for one in _parents(row) if one in waiting] for id_, row in waiting.items()}
    if not any(graph.values()):
        return ids, []
    sorter = TopologicalSorter(graph)
    with suppress(CycleError):
        sorter.prepare()
    ordered: list[str] = []
    while ready := sorter.get_ready():
        ordered += ready
        sorter.done(*ready)
    missing = waiting.keys() - set(ordered)
    return [*ordered, *(id_ for id_ in ids if id_ not in waiting)], [
        id_ for id_ in ids if id_ in missing and waiting[id_]["status"] in WITHOUT_SUCCESS
    ]


def _parents(row: Row) -> list[str]:
    ids: list[str] = json.loads(dependents.listed(row["dependencies"]))
    return ids
