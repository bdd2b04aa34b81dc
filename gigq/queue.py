"""`JobQueue`: submits, shows, cancels, requeues and deletes jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from gigq import events, job_queries
from gigq.cancel_requeue import Requeued, cancel_all, requeue_all
from gigq.deleting import Deleting
from gigq.errors import JobNotFound
from gigq.execution import job_events
from gigq.model import codec, scripts, start_times
from gigq.model.job_status import JobStatus
from gigq.pausing import Pausing
from gigq.rescheduling import Rescheduling
from gigq.store import migrate
from gigq.store.backend import MEMORY
from gigq.store.verbs import insertion, jobs, listing
from gigq.store.verbs.requeue import Again
from gigq.submission import listed, rows_to_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from datetime import datetime

    from gigq.job_queries import Names, Statuses
    from gigq.model.delay import Delay
    from gigq.model.job import Job
    from gigq.store.job_row import Values


class JobQueue(Rescheduling, Pausing, Deleting):
    """A queue of jobs in one SQLite file. Threads and processes may share the file.

    A subclass may define its own `_get_connection`, `_initialize_db` and constructor.

    Attributes:
        db_path: absolute path of the database file; None in a subclass with its own connections.
        lock_timeout: seconds to wait for a locked database before `StoreLocked`.
        max_params_size: maximum size of a job's parameters, in bytes of JSON.
        compare_params: True to compare the parameters with the function's signature; False in a
            program whose workers call other functions than those that it submits.
    """

    max_params_size: int = codec.DEFAULT_LIMIT
    compare_params: bool = True

    def __init__(self, db_path: str | os.PathLike[str], initialize: bool = True) -> None:
        """Open a queue.

        Args:
            db_path: the database file; `~` is the home folder. A relative path is resolved now.
                ":memory:" is for tests, with `Worker(queue)`: a private database that the threads
                of this process share and that is deleted with this object.
            initialize: True to create or migrate the file and its tables now. With False the queue
                must exist, and is migrated at the first use.

        Raises:
            StoreError: the file cannot be opened or is not a queue; the message says why.
        """
        self.db_path = db_path
        if initialize or db_path == MEMORY:
            self._initialize_db()
        else:
            self._begin = migrate.Begin.NEVER

    def __enter__(self) -> Self:
        """Return the queue, for `with JobQueue(path) as queue:`."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close this thread's connection."""
        self.close()

    def submit(self, job: Job) -> str:
        """Store a job; a crash or a power cut after the return does not lose it.

        A second submit of the same job id changes nothing.

        Args:
            job: the job.

        Returns:
            The job's id.

        Raises:
            InvalidJob: the function cannot be imported or called with these parameters, a value is
                not JSON, too large or not allowed, or a parent is not stored. Nothing is stored.
            StoreError: the database refused the job, and nothing is stored. Only a lost connection
                to a PostgreSQL server leaves that open: submit the same job again.
            TypeError: `job` is not a job.
        """
        return self.submit_many([job])[0]

    def submit_many(self, jobs: Iterable[Job]) -> list[str]:
        """Store several jobs in one transaction: either all of them, or none.

        Args:
            jobs: the jobs, in any order; they may depend on each other.

        Returns:
            Their ids, in the same order.

        Raises:
            DependencyCycle: some of them depend on each other in a cycle.
            InvalidJob, StoreError, TypeError: as for `submit`.
        """
        scripts.refuse_while_loading()
        given = listed(jobs)
        stored = insertion.insert(self._database, self._new_rows(given))
        if events.heard():
            for job in given:
                events.emit(events.JOB_SUBMITTED, job_id=job.id, name=job.name, queue=job.queue)
        job_events.failed_by_parents(stored.failed_dependents)
        self._wake(stored.due_in)
        return [job.id for job in given]

    def cancel(self, job_id: str, running: bool = False) -> bool:
        """Cancel a pending job. Jobs that depend on it fail, unless their policy says otherwise.

        Args:
            job_id: the job's id.
            running: True to cancel a running job, too. The daemon raises `JobCancelled` in it, and
                kills its processes if it does not end; a plain worker lets it finish. In both
                cases the job is not started again: it is completed if its function returns, and
                cancelled otherwise.

        Returns:
            True when the job is cancelled, or its cancel is requested; otherwise False.
        """
        return bool(self.cancel_many([job_id], running))

    def cancel_many(self, job_ids: Iterable[str], running: bool = False) -> list[str]:
        """Cancel many jobs, in few transactions.

        Args:
            job_ids: their ids.
            running: as for `cancel`.

        Returns:
            The ids of those that are cancelled, or whose cancel is requested.
        """
        cancelled, due = cancel_all(self._database, job_ids, running=running)
        self._wake(due)
        return cancelled

    def get_status(self, job_id: str) -> dict[str, Any]:
        """Return a job's row and its executions.

        Args:
            job_id: the job's id.

        Returns:
            `{"exists": False}` if there is no such job. Otherwise the columns of its row, with JSON
            decoded; `error_type`, `error_message` and `error_traceback`, the parts of `error`; and
            `executions`, a list of dicts, oldest first. Times are UTC in ISO format.
        """
        row = jobs.get(self._database, job_id)
        if row is None:
            return {"exists": False}
        executions = [job_queries.shown(each) for each in jobs.executions(self._database, job_id)]
        return {"exists": True, **job_queries.shown(row), "executions": executions}

    def get_result(self, job_id: str, default: Any = None) -> Any:
        """Return the result of a job's function.

        Args:
            job_id: the job's id.
            default: the value to return while the job is not completed; None can also be a result.

        Returns:
            The result, or the default.

        Raises:
            JobNotFound: there is no such job (a KeyError).
        """
        row = jobs.get(self._database, job_id)
        if row is None:
            raise JobNotFound(f"there is no job {job_id!r}; was it cleared?")
        completed = row["status"] == JobStatus.COMPLETED.value
        return codec.decode(row["result"]) if completed else default

    def list_jobs(
        self,
        status: Statuses = None,
        limit: int = 100,
        *,
        queue: Names = None,
        workflow: str | None = None,
        name: str | None = None,
        error: str | None = None,
        newer_than: float | None = None,
        older_than: float | None = None,
        offset: int = 0,
        delayed: bool = False,
    ) -> list[dict[str, Any]]:
        """Return jobs, newest first.

        Args:
            status: a status (`JobStatus` or its value), or a list of them; None for all, as for the
                other conditions.
            limit: maximum number of jobs; below 0 for all.
            queue: a named queue, or a list of them.
            workflow: the name of a workflow.
            name: a text that the name contains, in upper or lower case.
            error: a text that the error contains, in upper or lower case.
            newer_than: maximum age of the jobs in seconds since their creation.
            older_than: minimum age of the jobs in seconds since their creation.
            offset: number of jobs to skip, for the next page.
            delayed: True for pending jobs with a later time only (`retry_after`), the next one
                first.

        Returns:
            Dicts as from `get_status`, without `exists` and `executions`.

        Raises:
            ValueError: there is no such status.
        """
        texts = {"workflow": workflow, "name": name, "error": error}
        conditions = job_queries.conditions(
            status,
            queue,
            newer_than=newer_than,
            older_than=older_than,
            now=self._database.now,
            **texts,
        )
        page_of = listing.delayed_page if delayed else listing.page
        page = page_of(self._database, conditions, limit, offset)
        return [job_queries.shown(row) for row in page]

    def stats(self, queue: Names = None) -> dict[str, int]:
        """Count the jobs of each status.

        Args:
            queue: a named queue, or a list of them; None for all.

        Returns:
            The number of jobs by status, and their `total`.
        """
        if queue is None:
            return job_queries.with_total(jobs.counts(self._database))
        found = listing.counts_by_queue(self._database, job_queries.names(queue))
        return job_queries.with_total(*found.values())

    def stats_by_queue(self) -> dict[str, dict[str, int]]:
        """Count the jobs of each status in each named queue.

        Returns:
            A dict as from `stats` for each queue that has jobs, by its name.
        """
        found = listing.counts_by_queue(self._database)
        return {queue: job_queries.with_total(counts) for queue, counts in found.items()}

    def requeue_job(
        self,
        job_id: str,
        dependents: bool = False,
        *,
        one_more: bool = False,
        run_at: datetime | None = None,
        delay: Delay | None = None,
    ) -> bool:
        """Make a failed, timed out or cancelled job pending again, with no attempt used.

        Args:
            job_id: the job's id.
            dependents: True to requeue also the jobs that failed because of it, directly or not.
            one_more: True for one attempt more; False for all of `max_attempts` again.
            run_at: the time at which the job becomes due, a datetime with a zone; None for now.
            delay: instead, the time from now: seconds, a text such as "10m", or a timedelta.

        Returns:
            True when the job, or with `dependents` one of its dependents, is pending again. False
            when there is no such job, it has another status, or a parent has ended without success:
            requeue that parent with its dependents. `requeue_many` returns the reason.

        Raises:
            ValueError: the time or the delay is no such value, or both are given.
        """
        many = self.requeue_many(
            [job_id], dependents, one_more=one_more, run_at=run_at, delay=delay
        )
        return bool(many.jobs)

    def requeue_many(
        self,
        job_ids: Iterable[str],
        dependents: bool = False,
        *,
        one_more: bool = False,
        run_at: datetime | None = None,
        delay: Delay | None = None,
    ) -> Requeued:
        """Make many jobs pending again, in few transactions and in any order.

        Args:
            job_ids: their ids.
            dependents: True to requeue also the jobs that failed because of them, directly or not.
            one_more: as for `requeue_job`; a dependent that has not been started has all attempts.
            run_at: as for `requeue_job`, for all of them.
            delay: as for `requeue_job`, for all of them.

        Returns:
            The ids of the jobs that are pending again, and the reasons for the others.

        Raises:
            ValueError: as for `requeue_job`.
        """
        delay = 0 if run_at is None and delay is None else delay
        again = Again(one_more, start_times.not_before(run_at, delay))
        answer, due = requeue_all(self._database, job_ids, with_dependents=dependents, again=again)
        self._wake(due)
        return answer

    def _new_rows(self, given: list[Job]) -> list[Values]:
        now = self._database.now
        return rows_to_store(given, self.max_params_size, compare=self.compare_params, now=now)
