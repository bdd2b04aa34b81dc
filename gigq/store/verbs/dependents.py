"""Effects of a parent's end on the jobs that wait for it, in the transaction that ends it."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.claim import FailedDependent
from gigq.model.storable_text import storable_list

if TYPE_CHECKING:
    from gigq.store.database import Row, Session


_LONGEST_NAME = 1000


class Parent(NamedTuple):
    """A finished job, as the errors of its dependents name it."""

    id: str
    name: str
    status: str


class Consequences(NamedTuple):
    """The effects of the end of a parent on its dependents.

    Attributes:
        due_in: the queue of each dependent that waits for no further parent.
        failed_dependents: the dependents that failed.
    """

    due_in: tuple[str, ...] = ()
    failed_dependents: tuple[FailedDependent, ...] = ()


def release(session: Session, parent_id: str) -> tuple[str, ...]:
    """Release the dependents of a completed parent from waiting for it.

    Returns:
        The queue of each dependent that waits for no further parent.
    """
    parent = {"parent_id": parent_id, "now": session.now}
    if session.one("is_awaited", parent) is None:
        return ()
    session.lock("dependents", parent)
    rows = session.all("release_dependents", parent)
    session.run("delete_edges_from", parent)
    return _pending(rows)


def fail_dependents(session: Session, parent: Parent) -> Consequences:
    """Apply each dependent's policy after its parent ended for good without success.

    `fail` fails the dependent and then its own dependents; `run` counts the parent as done; `wait`
    keeps the dependent waiting for a requeue of the parent. Chains are long, hence no recursion.
    """
    due_in: list[str] = []
    failed: list[FailedDependent] = []
    ended = deque([parent])
    while ended:
        parent = ended.popleft()
        cut, freed = _one_level(session, parent)
        due_in += freed
        for row in cut:
            failed.append(failed_by(parent, row["id"], row["name"]))
            ended.append(Parent(row["id"], row["name"], "failed"))
    return Consequences(tuple(due_in), tuple(failed))


def failed_by(parent: Parent, job_id: str, name: str) -> FailedDependent:
    """Return the value for a dependent that failed because of a parent."""
    return FailedDependent(job_id, name, parent.id, parent.name, parent.status)


def reason(parent: Parent) -> str:
    """Return the error of a job that fails because of its parent."""
    name = parent.name[:_LONGEST_NAME] if isinstance(parent.name, str) else parent.name
    return (
        f"parent job {name!r} ({parent.id}) ended as {parent.status}; requeue it with its "
        "dependents, or submit this job with on_parent_failure='run' or 'wait'"
    )


def listed(dependencies: Any) -> str:
    """Return a job's parents as a JSON list; an empty one when foreign SQL stored no list."""
    try:
        ids = json.loads(dependencies or "[]")
    except (TypeError, ValueError, RecursionError):
        ids = []
    return (
        storable_list(id_ for id_ in ids if isinstance(id_, str)) if isinstance(ids, list) else "[]"
    )


def _one_level(session: Session, parent: Parent) -> tuple[list[Row], tuple[str, ...]]:
    edges = {"parent_id": parent.id, "now": session.now}
    if session.one("is_awaited", edges) is None:
        return [], ()
    session.lock("dependents", edges)
    cut = session.all("fail_dependents", {**edges, "error": reason(parent)})
    rows = session.all("release_dependents_that_do_not_wait", edges)
    session.run("delete_edges_to_dependents_that_do_not_wait", edges)
    return cut, _pending(rows)


def _pending(rows: list[Row]) -> tuple[str, ...]:
    return tuple(row["queue"] for row in rows if row["status"] == "pending")
