"""The verbs on stored jobs: read, cancel, clear."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from gigq.model import clock
from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable_list, storable_value
from gigq.store.database import UnreadableText
from gigq.store.verbs import dependents, prune, settle_and_claim
from gigq.store.verbs.deadlock import repeated
from gigq.store.verbs.prune import Keep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gigq.model.claim import FailedDependent
    from gigq.store.database import Database, Row, Session

_MANY = {"limit": 20_000}
_CLEARED = (JobStatus.COMPLETED.value, JobStatus.CANCELLED.value)


class Changed(NamedTuple):
    """The effects of a change to one job.

    Attributes:
        status: the job's status.
        due_in: the queue of each job that became due because of it, or whose daemon has to end it.
        failed_dependents: dependents that failed because of it.
    """

    status: JobStatus
    due_in: tuple[str, ...] = ()
    failed_dependents: tuple[FailedDependent, ...] = ()


def get(db: Database, job_id: str) -> Row | None:
    """Return a job's row, or None."""
    return db.one("job", {"job_id": job_id})


def by_ids(db: Database, job_ids: Iterable[str]) -> list[Row]:
    """Return `id`, `name`, `status` and `retry_after` of the jobs that exist."""
    return db.all("jobs_by_id", {"ids": storable_list(job_ids)})


def with_part(db: Database, part: str, limit: int) -> list[Row]:
    """Return `id`, `name` and `status` of jobs whose id contains a text, newest first."""
    return db.all("jobs_with_part", {"part": part, "limit": limit})


def executions(db: Database, job_id: str) -> list[Row]:
    """Return a job's executions, oldest first."""
    return db.all("executions_of_job", {"job_id": job_id})


def awaited_parents(db: Database, job_id: str, most: int = 1000) -> list[Row]:
    """Return the parents that a job still waits for: `id`, `name` and `status` of each.

    Name and status of one that raw SQL has deleted are None.
    """
    return db.all("awaited_parents", {"job_id": job_id, "limit": most})


def counts(db: Database) -> dict[str, int]:
    """Return the number of jobs of each status that has any.

    The time to count grows with the number of jobs. So one status with many jobs is not counted;
    its number is the total less the others.
    """
    try:
        found = _counted(db)
    except UnreadableText:
        found = _counted(db)  # the connection now decodes leniently
    return {status: number for status, number in found.items() if number}


@repeated
def _counted(db: Database) -> dict[str, int]:
    with db.read() as session:
        total = _jobs(session.one("number_of_all"))
        counted = {JobStatus.PENDING.value: _jobs(session.one("pending_up_to", _MANY))}
        for row in session.all("finished_statuses"):
            status = str(row["status"])
            counted[status] = _jobs(session.one("finished_up_to", {"status": status, **_MANY}))
        rest = _count_the_many(session, counted)
    counted[rest] = total - sum(counted.values())
    return counted


def _count_the_many(session: Session, counted: dict[str, int]) -> str:
    """Finish the counts that reached the limit, but for one status, which is returned."""
    many = [status for status, number in counted.items() if number == _MANY["limit"]]
    if not many:
        return JobStatus.RUNNING.value
    for status in many[:-1]:
        if status == JobStatus.PENDING.value:
            counted[status] = _jobs(session.one("number_of_pending"))
        else:
            counted[status] = _jobs(session.one("number_of_finished", {"status": status}))
    counted[JobStatus.RUNNING.value] = _jobs(session.one("number_of_running"))
    del counted[many[-1]]
    return many[-1]


def _jobs(row: Row | None) -> int:
    return int(row["jobs"]) if row else 0


def results_of(db: Database, job_ids: Iterable[str]) -> dict[str, str | None]:
    """Return the results, as JSON text, of the completed jobs among some."""
    rows = db.all("results_of", {"ids": storable_list(job_ids)})
    return {row["id"]: row["result"] for row in rows}


def cancel(db: Database, job_ids: Iterable[str], *, running: bool = False) -> dict[str, Changed]:
    """Cancel pending jobs and apply the policies of their dependents.

    One transaction does all of it, so it misses no job that is just being claimed or settled.

    Args:
        db: the database.
        job_ids: the jobs.
        running: True to request the cancel of running jobs, too.

    Returns:
        The effects by the id of each changed job: its status is CANCELLED when it was pending,
        RUNNING when its cancel was requested.
    """
    job_ids = list(job_ids)
    changed = _cancel_all(db, job_ids, running=running)
    return {job_id: changed[job_id] for job_id in job_ids if job_id in changed}


@repeated
def _cancel_all(db: Database, job_ids: list[str], *, running: bool) -> dict[str, Changed]:
    changed: dict[str, Changed] = {}
    with db.transaction(durable=True) as session:
        if len(job_ids) > 1:
            session.lock("jobs", {"ids": storable_list(job_ids)})
        for some, is_awaited in _in_order(session, job_ids):
            changed |= _cancel(session, some, is_awaited=is_awaited)
        if running:
            changed |= _request(session, [one for one in job_ids if one not in changed])
    return changed


def _in_order(session: Session, job_ids: list[str]) -> Iterator[tuple[list[str], bool]]:
    """Yield jobs to cancel in one statement, and True for a single one with dependents.

    A dependent that comes after its parent fails before its own turn.
    """
    rows = session.all("awaited_among", {"ids": storable_list(job_ids)})
    awaited = {row["parent_id"] for row in rows}
    for is_awaited, some in groupby(job_ids, lambda one: storable_value(one) in awaited):
        if is_awaited:
            yield from (([one], True) for one in some)
        else:
            yield list(some), False


def _cancel(session: Session, job_ids: list[str], *, is_awaited: bool) -> dict[str, Changed]:
    rows = session.all("cancel_jobs", {"ids": storable_list(job_ids), "now": session.now})
    names = {row["id"]: row["name"] for row in rows}
    changed = {}
    for job_id in job_ids:
        if (stored := storable_value(job_id)) in names:
            after = dependents.Consequences()
            if is_awaited:
                parent = dependents.Parent(stored, names[stored], "cancelled")
                after = dependents.fail_dependents(session, parent)
            changed[job_id] = Changed(JobStatus.CANCELLED, *after)
    return changed


def _request(session: Session, job_ids: list[str]) -> dict[str, Changed]:
    """Request the cancel of the running ones among some jobs."""
    rows = session.all("jobs_by_id", {"ids": storable_list(job_ids)})
    queues = {row["id"]: row["queue"] for row in rows if row["status"] == JobStatus.RUNNING.value}
    return {
        job_id: Changed(JobStatus.RUNNING, (queues[stored],))
        for job_id in job_ids
        if (stored := storable_value(job_id)) in queues
        and settle_and_claim.request_cancel(session, job_id)
    }


def clear(db: Database, before: str | None = None) -> int:
    """Delete completed and cancelled jobs with their executions, as `prune` does.

    Args:
        db: the database.
        before: ISO time; only jobs that ended earlier. None: all of them.

    Returns:
        The number of deleted jobs.

    Raises:
        ValueError: `before` is not an ISO 8601 time.
    """
    keep = Keep(most=0) if before is None else Keep(since=clock.normalise(before))
    return sum(prune.prune(db, dict.fromkeys(_CLEARED, keep)).values())
