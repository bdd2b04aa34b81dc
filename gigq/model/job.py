"""`Job`: a function, its parameters and its options."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from gigq.model import clock, job_checks, option_names
from gigq.model.ids import new_id
from gigq.model.retry_options import NO_OPTIONS, UNSET_DELAY, Option, RetryOptions
from gigq.model.retry_policy import MAX_SNOOZES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Never

    from gigq.model.delay import Delay
    from gigq.model.retry import Retry

    ExceptionClass = type[BaseException] | str
    ExceptionClasses = ExceptionClass | Sequence[ExceptionClass] | None

_NO_RETRY_OPTIONS = NO_OPTIONS[:-1]

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
        retry_delay: seconds from a failed attempt to the next one. Without this and `retry` the
            delay is that of the daemon's `[retry]`; a plain worker tries again at once.
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
        retry: the delays between attempts: a `Retry`; a list of delays, of which the last one
            repeats; or a function of the attempt's number and its exception that returns a delay,
            or None for no further attempt. The function is stored by its name.
        retry_on: exception classes, or their dotted names, after which the job is tried again; all
            others are final. None for all.
        give_up_on: exception classes, or their dotted names, that are final. If classes of both
            options match, the most specific one applies.
        retry_by_cause: exceptions to the usual rules: a dict from "error", "timeout", "memory",
            "crash", "lost" or "stop" to "policy", "now", "never" or a delay.
        max_snoozes: maximum number of times that the job may raise `Snooze`.
        run_at: the time at which the job becomes due, a datetime with a zone; a past time is now.
        delay: instead of `run_at`, the time from the submit until the job is due: seconds, a string
            such as "10m" or "1h30m", or a timedelta.
        expires_in: the time from the submit within which the job must start, like `delay`. After
            it, a job that no worker has started is cancelled, and one that waits for another
            attempt fails, both with the cause `expired`. One that a stop has interrupted started
            in time, and does not expire.
        expires_at: instead of `expires_in`, the time from which the job does not start any more, a
            datetime with a zone. A submit refuses a past time.

    Attributes:
        id: the unique id, a string; a second submit of the same id stores nothing.
        created_at: the creation time, UTC in ISO format. Among jobs of equal priority the oldest
            is claimed first.
        retry_options: the options about retries, from `retry` to `max_snoozes`, as one value.
        workflow: the name of its workflow, or None; set by `Workflow`.

    Raises:
        InvalidJob: a value is not allowed; the message names it and the remedy.
        TypeError: there is no such argument; the message names the one of the same purpose.
    """

    workflow: str | None = None
    retry_options: RetryOptions = NO_OPTIONS
    retry = Option()
    retry_on = Option()
    give_up_on = Option()
    retry_by_cause = Option()
    max_snoozes = Option()

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
        retry_delay: float = UNSET_DELAY,
        queue: str = "default",
        on_parent_failure: str = "fail",
        memory_limit: int | str | None = None,
        crash_limit: int | None = DEFAULT_CRASH_LIMIT,
        retry: Retry | Sequence[Delay] | Callable[[int, BaseException], Any] | str | None = None,
        retry_on: ExceptionClasses = None,
        give_up_on: ExceptionClasses = None,
        retry_by_cause: Mapping[str, Delay] | None = None,
        max_snoozes: int = MAX_SNOOZES,
        run_at: datetime | None = None,
        delay: Delay | None = None,
        expires_in: Delay | None = None,
        expires_at: datetime | None = None,
        **unknown: Never,
    ) -> None:
        if unknown:
            option_names.refuse("Job()", unknown, JOB_OPTIONS)
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
        options = retry, retry_on, give_up_on, retry_by_cause, max_snoozes
        if options != _NO_RETRY_OPTIONS:
            self.retry_options = RetryOptions(*options)
        self.run_at = run_at
        self.delay = delay
        self.expires_in = expires_in
        self.expires_at = expires_at
        self.created_at = clock.utc_now()
        job_checks.check(self)

    def __repr__(self) -> str:
        """Return the class, the name and the id."""
        return f"<{type(self).__name__} {self.name!r} {self.id}>"


JOB_OPTIONS = {
    name: one.default
    for name, one in inspect.signature(Job).parameters.items()
    if name not in ("function", "params", "unknown")
}
"""The arguments of `Job` that are no parameter of its function, with their defaults."""
