"""Change of the time before which pending jobs are not claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gigq.store.verbs import rows_of_other_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigq.store.database import Database, Row, Session

    NotBefore = Callable[[str], str | None]


class Rescheduled(NamedTuple):
    """The effects of a change of times.

    Attributes:
        retry_after: the time before which the changed jobs are not claimed; None: they are due.
        jobs: their ids.
        due_in: their queues, whose workers must look again.
        others: the row of each other job by its id, None when there is no such job.
    """

    retry_after: str | None
    jobs: list[str]
    due_in: list[str]
    others: dict[str, Row | None]


def reschedule(db: Database, job_ids: Iterable[str], not_before: NotBefore) -> Rescheduled:
    """Set the time of pending jobs, in one transaction.

    A job that would expire before that time is left as it is, and so is one that is due already
    when the time is now.

    Args:
        db: the database.
        job_ids: the jobs.
        not_before: returns the time for the time of the transaction; None for now.
    """
    with db.transaction(durable=True) as session:
        rows_of_other_programs.link(session)
        done = Rescheduled(not_before(session.now), [], [], {})
        for job_id in job_ids:
            _reschedule(session, job_id, done)
    return done


def _reschedule(session: Session, job_id: str, done: Rescheduled) -> None:
    where = {"job_id": job_id, "retry_after": done.retry_after, "now": session.now}
    row = session.one("reschedule_job", where)
    if row is None:
        done.others[job_id] = session.one("job", {"job_id": job_id})
        return
    done.jobs.append(job_id)
    done.due_in.append(row["queue"])
