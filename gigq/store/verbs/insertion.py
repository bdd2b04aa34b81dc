"""Insertion of a batch of jobs in one transaction, with the parents that they wait for."""

from __future__ import annotations

import json
from graphlib import CycleError, TopologicalSorter
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from gigq.errors import DependencyCycle, MissingParent
from gigq.model.job_status import WITHOUT_SUCCESS, JobStatus
from gigq.model.storable_text import storable_list
from gigq.store.job_row import NO_PARENTS, JobRow
from gigq.store.session import Deadlock
from gigq.store.verbs import dependents
from gigq.store.verbs.deadlock import repeated
from gigq.store.verbs.dependents import Consequences, Parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigq.model.claim import FailedDependent
    from gigq.store.database import Database, Session
    from gigq.store.job_row import Values

    Parents = Mapping[str, list[str]]

_PENDING = JobStatus.PENDING.value
_FAILED = JobStatus.FAILED.value
_SETTLED = WITHOUT_SUCCESS | {JobStatus.COMPLETED.value}

_QUEUE, _UNMET = JobRow._fields.index("queue"), JobRow._fields.index("unmet")
_queue = itemgetter(_QUEUE)
_dependencies = itemgetter(JobRow._fields.index("dependencies"))


class Stored(NamedTuple):
    """The effects of storing a batch of jobs.

    Attributes:
        due_in: number of jobs that became due, by queue.
        failed_dependents: the jobs that failed at once, because a parent had ended without success.
    """

    due_in: Mapping[str, int]
    failed_dependents: tuple[FailedDependent, ...]


@repeated
def insert(db: Database, rows: list[Values]) -> Stored:
    """Store jobs durably, all or none.

    An id that is already stored is left as it is; of two rows with one id the first counts.
    Parents may be anywhere in `rows` or be stored already. A job whose parent has already ended
    without success meets its own policy at once.

    Args:
        db: the database.
        rows: the values of a `JobRow` for each job.

    Raises:
        MissingParent: a parent is neither stored nor in `rows`.
        DependencyCycle: jobs in `rows` wait for each other.
        StoreError: nothing was stored.
    """
    if set(map(_dependencies, rows)) <= {NO_PARENTS}:
        with db.single_write() as session:
            session.insert(rows)
        return Stored(_numbers(map(_queue, rows)), ())
    with db.transaction(durable=True) as session:
        links = _links(session, list(map(JobRow._make, rows)))
        raced = session.insert(links.rows) & _linked(links)
        if raced:
            raise Deadlock(f"job {min(raced)} was stored by another transaction; try again")
        session.many("insert_edge", links.edges)
        # All rows and edges before the first failure, which may fail other jobs of the batch.
        after = [_fail(session, job, parent) for job, parent in links.failed_dependents]
    due = [queue for one in after for queue in one.due_in]
    # A job that was cut off counts as due, too: one wakeup too many.
    due += [row[_QUEUE] for row in links.rows if not row[_UNMET]]
    return Stored(_numbers(due), tuple(job for one in after for job in one.failed_dependents))


class _Links(NamedTuple):
    """A batch of jobs linked to their parents.

    Attributes:
        rows: the rows to store, each with the number of parents that it waits for.
        edges: the ids of a parent and of a job that waits for it.
        failed_dependents: the jobs that fail at once, each with the parent that has ended.
    """

    rows: list[Values]
    edges: list[tuple[str, str]]
    failed_dependents: list[tuple[Parent, Parent]]


def _links(session: Session, rows: list[JobRow]) -> _Links:
    first = {row.id: row for row in reversed(rows)}
    batch = [row for row in rows if first[row.id] is row]
    named = _parents_named(batch)
    # Until the end of the transaction no parent ends, unseen, before its dependent is stored.
    session.lock("parents", {"ids": storable_list(sorted(set().union(*named.values())))})
    stored = _stored(session, named)
    linked = {id_: parents for id_, parents in named.items() if id_ not in stored}
    _refuse_cycles(linked, batch)
    known = {row.id: Parent(row.id, row.name, _PENDING) for row in batch} | stored
    links = _Links([], [], [])
    for row in batch:
        unmet = _link(links, row, linked[row.id], known) if row.id in linked else 0
        links.rows.append((*row[:_UNMET], unmet, *row[_UNMET + 1 :]))
    return links


def _linked(links: _Links) -> set[str]:
    """Return the new jobs with parents that have not completed."""
    return {job_id for _, job_id in links.edges} | {job.id for job, _ in links.failed_dependents}


def _parents_named(batch: list[JobRow]) -> dict[str, list[str]]:
    rows = [row for row in batch if row.dependencies != NO_PARENTS]
    # Decoding all of them at once takes a third of the time.
    lists = json.loads(f"[{','.join(row.dependencies for row in rows)}]")
    # A job waits once for a parent that it names twice.
    return {row.id: list(dict.fromkeys(parents)) for row, parents in zip(rows, lists, strict=True)}


def _stored(session: Session, named: Parents) -> dict[str, Parent]:
    """Return the stored ones among the jobs and their parents."""
    ids = set(named).union(*named.values())
    rows = session.all("jobs_by_id", {"ids": storable_list(ids)})
    return {row["id"]: Parent(row["id"], row["name"], row["status"]) for row in rows}


def _link(links: _Links, row: JobRow, parents: list[str], known: dict[str, Parent]) -> int:
    """Link a job to its parents and return how many of them it waits for."""
    try:
        # A job with an unknown status is unfinished: another program may still complete it.
        unfinished = [id_ for id_ in parents if known[id_].status not in _SETTLED]
    except KeyError as missing:
        raise MissingParent(
            f"job {row.name!r} ({row.id}) depends on {missing}, which is not stored; "
            "submit the parent first, or both in one batch"
        ) from None
    if len(unfinished) < len(parents):
        ended = [id_ for id_ in parents if known[id_].status in WITHOUT_SUCCESS]
        if ended and row.on_parent_failure not in {"run", "wait"}:
            failed = known[row.id] = Parent(row.id, row.name, _FAILED)
            links.failed_dependents.append((failed, known[ended[0]]))
            return 0
        if row.on_parent_failure == "wait":
            unfinished += ended
    links.edges.extend((id_, row.id) for id_ in unfinished)
    return len(unfinished)


def _fail(session: Session, job: Parent, parent: Parent) -> Consequences:
    error = dependents.reason(parent)
    session.run("fail_dependent", {"job_id": job.id, "error": error, "now": session.now})
    after = dependents.fail_dependents(session, job)
    failed = dependents.failed_by(parent, job.id, job.name)
    return Consequences(after.due_in, (failed, *after.failed_dependents))


def _refuse_cycles(linked: Parents, batch: list[JobRow]) -> None:
    # There is no cycle when every parent is before the jobs that wait for it.
    place = {row.id: number for number, row in enumerate(batch)}
    if all(place.get(id_, -1) < place[job] for job, parents in linked.items() for id_ in parents):
        return
    try:
        TopologicalSorter(linked).prepare()
    except CycleError as error:
        path = " -> ".join(repr(batch[place[id_]].name) for id_ in error.args[1])
        raise DependencyCycle(f"jobs wait for each other: {path}; remove one of these") from None


def _numbers(queues: Iterable[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for queue in queues:  # a Counter takes as long as the insertion of a row
        numbers[queue] = numbers.get(queue, 0) + 1
    return numbers
