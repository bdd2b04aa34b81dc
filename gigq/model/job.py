"""`Job`: a function, its parameters and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model import clock, job_checks
from gigq.model.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_TIMEOUT = 300
"""Seconds that a job may run."""

DEFAULT_CRASH_LIMIT = 3
"""Number of attempts that may kill their process before the job fails for good."""


class Job:
    """A function and its parameters, for a worker to run.

    The arguments become attributes, which may be changed until the job is submitted.

    Args:
        name: a name for display; it need not be unique.
        function: the function to call; a worker must be able to import it.
        params: its keyword arguments, as JSON values: a tuple arrives as a list, and keys of
            dicts must be strings. A submit compares them with the function's signature.
        priority: jobs with higher numbers run first.
        dependencies: ids of the jobs that must complete before this one is due.
        max_attempts: maximum number of attempts, at least 1.
        timeout: maximum run time in seconds; None for no limit.
        description: a longer text for display.
        pass_parent_results: pass the results of the dependencies as the keyword argument
            `parent_results`, a dict by parent id. None: if the function accepts it.
        retry_delay: seconds from a failed attempt to the next one.
        queue: the named queue; not "*", and not a name that begins with "!": these are
            patterns for workers.
        on_parent_failure: what to do when a dependency ends without success: "fail" fails this
            job too, "run" runs it anyway, "wait" keeps it pending until the dependency is
            requeued and completes.
        memory_limit: maximum memory of the job's process tree, in bytes or as a string
            ("300 MB", "512 MiB"); None for the limit of the daemon's pool. The daemon ends a
            job that uses more; a plain worker does not enforce the limit.
        crash_limit: number of attempts that kill their process (a crash, the memory limit, the
            kernel's out-of-memory killer) after which the job fails for good, even with
            attempts left; None for no limit.

    Attributes:
        id: the unique id, a string; a second submit of the same id stores nothing.
        created_at: the creation time, UTC in ISO format. Among jobs of equal priority the oldest
            is claimed first.
        workflow: the name of its workflow, or None; set by `Workflow`.

    Raises:
        InvalidJob: a value is not allowed; the message names it and the remedy.
    """

    workflow: str | None = None

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        params: dict[str, Any] | None = None,
        priority: int = 0,
        dependencies: list[str] | None = None,
        max_attempts: int = 3,
        timeout: float | None = DEFAULT_TIMEOUT,
        description: str = "",
        pass_parent_results: bool | None = None,
        retry_delay: float = 0,
        queue: str = "default",
        on_parent_failure: str = "fail",
        memory_limit: int | str | None = None,
        crash_limit: int | None = DEFAULT_CRASH_LIMIT,
    ) -> None:
        self.id = new_id()
        self.name = name
        self.function = function
        self.params = params or {}
        self.priority = priority
        self.dependencies = dependencies or []
        self.max_attempts = max_attempts
        self.timeout = timeout
        self.description = description
        self.pass_parent_results = pass_parent_results
        self.retry_delay = retry_delay
        self.queue = queue
        self.on_parent_failure = on_parent_failure
        self.memory_limit = memory_limit
        self.crash_limit = crash_limit
        self.created_at = clock.utc_now()
        job_checks.check(self)

    def __repr__(self) -> str:
        """Return the class, the name and the id."""
        return f"<{type(self).__name__} {self.name!r} {self.id}>"
