"""The verbs on stored jobs: read, cancel, clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gigq.model import clock
from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable_list
from gigq.store.database import UnreadableText
from gigq.store.verbs import dependents, prune, settle_and_claim
from gigq.store.verbs.deadlock import repeated
from gigq.store.verbs.prune import Keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigq.model.claim import FailedDependent
    from gigq.store.database import Database, Row, Session

_MANY = {"limit": 20_000}
_CLEARED = (JobStatus.COMPLETED.value, JobStatus.CANCELLED.value)


class Changed(NamedTuple):
    """The effects of a change to one job.

    Attributes:
        status: the job's status.
        due_in: the queue of each job that became due because of it.
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
    cancel_one = _cancel_or_request if running else _cancel
    return _cancel_all(db, list(job_ids), cancel_one)


@repeated
def _cancel_all(
    db: Database, job_ids: list[str], cancel_one: Callable[[Session, str], Changed | None]
) -> dict[str, Changed]:
    with db.transaction(durable=True) as session:
        if len(job_ids) > 1:
            session.lock("jobs", {"ids": storable_list(job_ids)})
        changed = {job_id: cancel_one(session, job_id) for job_id in job_ids}
    return {job_id: one for job_id, one in changed.items() if one is not None}


def _cancel_or_request(session: Session, job_id: str) -> Changed | None:
    if cancelled := _cancel(session, job_id):
        return cancelled
    return Changed(JobStatus.RUNNING) if settle_and_claim.request_cancel(session, job_id) else None


def _cancel(session: Session, job_id: str) -> Changed | None:
    row = session.one("cancel_job", {"job_id": job_id, "now": session.now})
    if row is None:
        return None
    after = dependents.fail_dependents(session, dependents.Parent(job_id, row["name"], "cancelled"))
    return Changed(JobStatus.CANCELLED, after.due_in, after.failed_dependents)


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
