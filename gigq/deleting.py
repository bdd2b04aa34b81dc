"""The part of `JobQueue` that deletes finished jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq import job_queries
from gigq.connecting import Connecting
from gigq.model.job_status import JobStatus
from gigq.store.verbs import jobs, prune

if TYPE_CHECKING:
    from collections.abc import Iterable


class Deleting(Connecting):
    """The methods of a queue that delete finished jobs."""

    def clear_completed(self, before_timestamp: str | None = None) -> int:
        """Delete completed and cancelled jobs that no unfinished job depends on.

        Args:
            before_timestamp: only jobs that ended before this ISO time; without a zone, local time.

        Returns:
            The number of deleted jobs.

        Raises:
            ValueError: the text is not an ISO time.
        """
        return jobs.clear(self._database, before_timestamp)

    def prune(
        self,
        *,
        older_than: float | None = None,
        keep: int | None = None,
        statuses: Iterable[JobStatus | str] = prune.FINISHED,
        dry_run: bool = False,
    ) -> dict[str, int]:
        """Delete finished jobs with their executions, by age or number, the oldest first.

        Parents of unfinished jobs are kept. Jobs are deleted in small batches, so that other
        writers do not wait. gigqd prunes automatically, as its table `[retention]` configures.

        Args:
            older_than: minimum number of seconds since the end of the jobs; None for any age.
            keep: maximum number of jobs to keep in each status; None for no limit.
            statuses: the statuses to prune.
            dry_run: True to count only.

        Returns:
            The number of deleted jobs by status; with `dry_run`, of jobs that would be deleted.

        Raises:
            ValueError: neither `older_than` nor `keep` is given, one is below 0, or a status is
                not a finished one.
        """
        keeping = prune.Keep(job_queries.ago(older_than, self._database.now), keep)
        policy = dict.fromkeys((JobStatus(status).value for status in statuses), keeping)
        return prune.prune(self._database, policy, dry_run=dry_run)
