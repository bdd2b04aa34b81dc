"""Workflows: jobs that depend on each other and are submitted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from gigq.model import codec
from gigq.model.job import JOB_OPTIONS
from gigq.model.option_names import OURS
from gigq.task import TaskWrapper

if TYPE_CHECKING:
    from typing import Never

    from gigq.model.job import Job
    from gigq.queue import JobQueue


class Workflow:
    """Jobs and their dependencies, submitted together.

    Attributes:
        name: the name of the workflow; it is stored with each job.
        jobs: the jobs in the order in which they were added.
        job_map: the same jobs by id.
    """

    def __init__(self, name: str) -> None:
        """Start an empty workflow.

        Args:
            name: a name for display, and for `gigq list --workflow`.
        """
        self.name = name
        self.jobs: list[Job] = []
        self.job_map: dict[str, Job] = {}

    def add_job(self, job: Job, depends_on: list[Job] | None = None) -> Job:
        """Add a job; adding it again only changes its dependencies.

        Args:
            job: the job to add.
            depends_on: the jobs that must complete first; a list that is not empty replaces the
                job's dependencies.

        Returns:
            The same job.

        Raises:
            TypeError: `depends_on` is not a list of jobs.
        """
        if depends_on:
            job.dependencies = _ids_of(depends_on)
        if job.id not in self.job_map:
            self.jobs.append(job)
        self.job_map[job.id] = job
        return job

    def add_task(
        self,
        decorated_fn: TaskWrapper[..., Any],
        params: dict[str, Any] | None = None,
        depends_on: list[Job] | None = None,
        pass_parent_results: bool | None = None,
        name: str | None = None,
        **_others: Never,
    ) -> Job:
        """Make a job of a task and add it.

        The task has the other options: `add_task(resize.options(expires_in="1h"), {"file": "a"})`.

        Args:
            decorated_fn: the task, a function decorated with `task`.
            params: keyword arguments for the function.
            depends_on: the jobs that must complete first.
            pass_parent_results: as for `Job`.
            name: the name of the job; by default the task's name.

        Returns:
            The new job.

        Raises:
            TypeError: the function is not a task, or there is no such argument.
            InvalidJob: a value is not allowed.
        """
        if _others:
            _refuse_others(_others, decorated_fn)
        if not isinstance(decorated_fn, TaskWrapper):
            raise TypeError(
                f"add_task() takes a function decorated with @task, and {decorated_fn!r} is not; "
                "use add_job() with a Job"
            )
        job = decorated_fn.to_job(**(params or {}))
        if pass_parent_results is not None:
            job.pass_parent_results = pass_parent_results
        if name is not None:
            job.name = name
        return self.add_job(job, depends_on)

    def submit_all(self, queue: JobQueue) -> list[str]:
        """Submit all jobs in one transaction: either all are stored, or none.

        Args:
            queue: the queue to submit to.

        Returns:
            The job ids, in the order in which the jobs were added.

        Raises:
            DependencyCycle: jobs of the workflow depend on each other in a cycle.
            MissingParent: a dependency is neither in the workflow nor stored.
            InvalidJob: a job cannot be stored as it is.
            StoreError: the database refused the jobs.
        """
        for job in self.jobs:
            job.workflow = self.name
        return queue.submit_many(self.jobs)


def _refuse_others(others: dict[str, Any], function: Any) -> NoReturn:
    task = getattr(function, "__name__", "task")
    name, value = next(iter(others.items()))
    remedy = f"write add_task({task}, params={{{name!r}: {codec.short(value)}}})"
    if name in JOB_OPTIONS:
        remedy = f"write add_task({task}.options({name}={codec.short(value)}), ...)"
    elif name in OURS:
        remedy = f"use {OURS[name]}, in add_task({task}.options(...))"
    raise TypeError(f"add_task() has no argument {name}; {remedy}")


def _ids_of(depends_on: Any) -> list[str]:
    parents = [] if isinstance(depends_on, str) or hasattr(depends_on, "id") else list(depends_on)
    if not parents or not all(hasattr(parent, "id") for parent in parents):
        raise TypeError(
            f"depends_on takes a list of jobs of this workflow, not {codec.short(depends_on)}; "
            "write depends_on=[job]. The id of a stored job belongs in Job(dependencies=[...])"
        )
    return [parent.id for parent in parents]
