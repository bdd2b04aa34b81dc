"""The result of one execution: how it ended, with measurements of the attempt and its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gigq.model.cause import Cause
    from gigq.model.failure_details import Failure
    from gigq.model.job_status import JobStatus
    from gigq.model.retry import Retry
    from gigq.model.retry_policy import RetryPolicy


class PostMortem(NamedTuple):
    """Measurements of an attempt and its process. Sizes in bytes, times in seconds.

    Attributes:
        peak_rss: peak of the memory of the job's process tree.
        cpu_time: the CPU time of the tree.
        wall_time: duration of the attempt.
        late: time from the end of the limit and its grace to the first SIGKILL.
        killed: number of processes of the tree that got SIGKILL.
    """

    exit_code: int | None = None
    signal: str | None = None
    stack: str | None = None
    output: str | None = None
    peak_rss: int | None = None
    cpu_time: float | None = None
    wall_time: float | None = None
    late: float | None = None
    killed: int | None = None
    note: str | None = None


class Interruption(NamedTuple):
    """The interruption of a running job, or the job's notice of a request to end.

    Attributes:
        cause: TIMEOUT, CANCELLED or STOPPED.
        at: its time, in seconds of the monotonic clock.
    """

    cause: Cause
    at: float


class RetryAdvice(NamedTuple):
    """What decides about the next attempt besides the job's row.

    Attributes:
        delay: seconds that the job or its retry function asks for; None for those of the policy.
        snooze: True when the job raised `Snooze`, which uses no attempt.
        policy: the policy that replaces the stored one; None for the stored one.
        default: the delays for a job without any of its own; None for none, at once.
        reason: why the job is not tried again or was put off; a text for people, or empty.
        problem: why the usual delay is used in place of the wanted one; such a text, or empty.
    """

    delay: float | None = None
    snooze: bool = False
    policy: RetryPolicy | None = None
    default: Retry | None = None
    reason: str = ""
    problem: str = ""


NO_ADVICE = RetryAdvice()


class UnknownFunction(NamedTuple):
    """A function that a worker could not find.

    Attributes:
        module: its module, or the path of its script.
        name: its name in it.
        host: the name of the worker's host.
        wait: seconds that its jobs wait for a daemon that knows it.
    """

    module: str
    name: str
    host: str
    wait: float


class ExecutionResult(NamedTuple):
    """The result of one execution, from the worker or the recorder.

    Attributes:
        status: COMPLETED, FAILED, TIMEOUT or CANCELLED.
        value: the function's return value as JSON text; only when COMPLETED.
        error: the error as text, with the traceback if there is one.
        cause: the cause of an end without success.
        final: True for no further attempt, even when some are left.
        post_mortem: measurements of the attempt and its process, if known.
        failure: details of the exception, for events; they are not stored.
        interrupted_by: TIMEOUT, CANCELLED or STOPPED, if the job was interrupted while it ran, or
            noticed a request to end.
        returned_after: seconds from then until the function returned or raised.
        retry: what decides about the next attempt besides the job's row.
        unknown: the job's function, if the job waits for a daemon that knows it.
    """

    status: JobStatus
    value: str | None = None
    error: str | None = None
    cause: Cause | None = None
    final: bool = False
    post_mortem: PostMortem | None = None
    failure: Failure | None = None
    interrupted_by: Cause | None = None
    returned_after: float | None = None
    retry: RetryAdvice = NO_ADVICE
    unknown: UnknownFunction | None = None

    def after(self, interruption: Interruption | None, now: float) -> ExecutionResult:
        """Return this result, with the interruption if there was one.

        Args:
            interruption: the interruption, or None.
            now: end of the function, in seconds of the monotonic clock.
        """
        if interruption is None:
            return self
        late = round(max(0.0, now - interruption.at), 3)
        return self._replace(interrupted_by=interruption.cause, returned_after=late)
