"""The part of `JobQueue` that changes the time before which pending jobs do not run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq import events
from gigq.cancel_requeue import several
from gigq.connecting import Connecting
from gigq.model import clock, start_times
from gigq.store.verbs.batches import batches
from gigq.store.verbs.reschedule import reschedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from gigq.model.delay import Delay


_REMEDIES = {
    "running": "cancel it, or wait for its end",
    "completed": "submit a new job",
}


class Rescheduled(NamedTuple):
    """The answer of `JobQueue.reschedule_many`.

    Attributes:
        jobs: the time (UTC, ISO format) before which each changed job does not run, by its id;
            None when it may run now.
        refused: the reasons by id, for each other job that was named: its status, its expiry, that
            it is due already, or that there is no such job.
    """

    jobs: dict[str, str | None]
    refused: dict[str, str]


class Rescheduling(Connecting):
    """The methods of a queue that change the time of pending jobs."""

    def run_now(self, job_id: str) -> bool:
        """Make a delayed job due now: one with a later time, or one that waits for a retry.

        Args:
            job_id: the job's id.

        Returns:
            True when it has no later time any more; it still waits for unfinished parents. False
            when there is no such job, or when it is not delayed: it is running, finished or due
            already. `reschedule_many` with `delay=0` returns the reason.
        """
        return bool(self.reschedule_many([job_id], delay=0).jobs)

    def reschedule(
        self, job_id: str, *, run_at: datetime | None = None, delay: Delay | None = None
    ) -> bool:
        """Set the time before which a pending job does not run.

        Args:
            job_id: the job's id.
            run_at: the time, a datetime with a zone. A past one is now.
            delay: instead, the time from now: seconds, a text such as "10m", or a timedelta.

        Returns:
            True when it has this time. False when there is no such job, when it is not pending,
            when it would expire before, or when it is due already and the time is now.
            `reschedule_many` returns the reason.

        Raises:
            ValueError: neither or both are given, or one is no such value.
        """
        return bool(self.reschedule_many([job_id], run_at=run_at, delay=delay).jobs)

    def reschedule_many(
        self,
        job_ids: Iterable[str],
        *,
        run_at: datetime | None = None,
        delay: Delay | None = None,
    ) -> Rescheduled:
        """Set the time before which pending jobs do not run, in few transactions.

        Args:
            job_ids: their ids.
            run_at: as for `reschedule`.
            delay: as for `reschedule`.

        Returns:
            The times of the changed jobs, and the reasons for the others.

        Raises:
            ValueError: as for `reschedule`.
        """
        not_before = start_times.not_before(run_at, delay)
        answer = Rescheduled({}, {})
        for some in batches(several(job_ids)):
            done = reschedule(self._database, some, not_before)
            for job_id in done.jobs:
                events.emit(events.JOB_RESCHEDULED, job_id=job_id, retry_after=done.retry_after)
                answer.jobs[job_id] = done.retry_after
            for job_id, row in done.others.items():
                answer.refused[job_id] = _reason(row, done.retry_after, self._database.now)
            self._wake(Counter(done.due_in))
        return answer


def _reason(row: dict[str, Any] | None, retry_after: str | None, now: Callable[[], str]) -> str:
    if row is None:
        return "there is no such job"
    if row["status"] != "pending":
        remedy = _REMEDIES.get(row["status"], "requeue it")
        return f"it is {row['status']}; {remedy}"
    if retry_after is not None:
        return f"it expires at {clock.to_seconds(row['expires_at'])}, before that time"
    if row["expires_at"] is not None and row["expires_at"] <= now():
        return f"it expired at {clock.to_seconds(row['expires_at'])}; submit a new job"
    if row["unmet"]:
        return "it waits for its parents, and has no later time"
    return "it is due already, and starts when a worker is free"
