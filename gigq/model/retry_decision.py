"""Decision after an execution has ended: retry the job, release its attempt, or finish it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model import clock, retry_policy
from gigq.model.cause import Cause
from gigq.model.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.model.execution_result import ExecutionResult
    from gigq.model.retry_policy import RetryPolicy

_NO_POLICY = "\n\nThe column retry_policy of the job cannot be read, so it is not used: {}."
NOT_AGAIN = "\n\nNot tried again: {}."
"""The end of the error of a job that has attempts left."""

_CRASHES = frozenset({Cause.CRASHED, Cause.MEMORY, Cause.OOM})

MAX_RELEASED_ATTEMPTS = 3
"""Number of attempts that orderly stops release; a job that is always stopped must not loop."""


class Outcome(NamedTuple):
    """Values to record: the next status of the job, and the last one of its execution.

    Attributes:
        reason: why the job is not tried again, for events; empty when the result itself says it.
    """

    status: JobStatus
    execution_status: JobStatus
    retry_after: str | None = None
    released: bool = False
    snoozed: bool = False
    crashed: bool = False
    error: str | None = None
    result: str | None = None
    cause: Cause | None = None
    reason: str = ""


def decide(result: ExecutionResult, job: Mapping[str, Any], now: str) -> Outcome:
    """Decide what to record for the result of an execution.

    Args:
        result: the result of the execution.
        job: the job's `attempts`, `max_attempts`, `retry_delay` (seconds), `refunds`, `error`,
            and, if they are known, `crashes`, `crash_limit` (attempts), `retry_policy` (JSON),
            `snoozes`, `expires_at`, and the execution's `cancel_requested_at`.
        now: the time of the decision, as stored text.
    """
    if result.status is JobStatus.COMPLETED:
        return Outcome(JobStatus.COMPLETED, JobStatus.COMPLETED, result=result.value)
    if result.status is JobStatus.CANCELLED and result.cause is not Cause.STOPPED:
        return _over(result, JobStatus.CANCELLED)
    if job.get("cancel_requested_at"):
        return _cancelled_on_request(result)
    policy = result.retry.policy or retry_policy.stored(job.get("retry_policy"))
    if wrong := retry_policy.problem(job.get("retry_policy")):
        result = result._replace(error=f"{result.error or ''}{_NO_POLICY.format(wrong)}")
    if result.retry.snooze:
        return _snoozed(result, job, policy, now)
    if result.cause is Cause.STOPPED and _is_releasable(result, job, policy):
        return _released(job)
    return _unsuccessful(result, job, policy, now)


def _over(result: ExecutionResult, status: JobStatus) -> Outcome:
    cause = result.cause or _USUAL_CAUSE[status]
    crashed = cause in _CRASHES
    return Outcome(status, status, crashed=crashed, error=result.error, cause=cause)


def _cancelled_on_request(result: ExecutionResult) -> Outcome:
    # The error keeps the attempt's own end, and the post-mortem stays.
    error = "cancelled while it ran"
    if result.error:
        error = f"{error}; the attempt ended so: {result.error}"
    status = JobStatus.CANCELLED
    crashed = result.cause in _CRASHES
    return Outcome(status, status, crashed=crashed, error=error, cause=Cause.CANCELLED)


def _snoozed(
    result: ExecutionResult, job: Mapping[str, Any], policy: RetryPolicy, now: str
) -> Outcome:
    if (job.get("snoozes") or 0) >= policy.max_snoozes:
        said = f"it raised Snooze once more than max_snoozes ({policy.max_snoozes}) allows"
        error = f"{said}; the last reason: {result.error}"
        over = result._replace(error=error, cause=Cause.ERROR)
        return _over(over, JobStatus.FAILED)._replace(reason=said)
    retry_after = _not_before(result.retry.delay, now)
    if _is_expired(job, retry_after or now):
        return _snoozed_too_long(result, job, retry_after or now)
    return Outcome(
        JobStatus.PENDING,
        JobStatus.CANCELLED,
        retry_after=retry_after,
        snoozed=True,
        error=result.error,
        cause=Cause.SNOOZED,
    )


def _snoozed_too_long(result: ExecutionResult, job: Mapping[str, Any], at: str) -> Outcome:
    # As for a job that expires while it waits: the attempt of the snooze does not count.
    ended = JobStatus.FAILED if job["attempts"] > 1 else JobStatus.CANCELLED
    over = _not_again(result, ended, _too_late(job, at))
    return over._replace(execution_status=JobStatus.CANCELLED, snoozed=True, cause=Cause.EXPIRED)


def _is_releasable(result: ExecutionResult, job: Mapping[str, Any], policy: RetryPolicy) -> bool:
    # A job with a single attempt must never start twice, so that attempt is never released.
    return (
        not result.final
        and "stop" not in policy.causes
        and job["max_attempts"] > 1
        and (job["refunds"] or 0) < MAX_RELEASED_ATTEMPTS
    )


def _released(job: Mapping[str, Any]) -> Outcome:
    return Outcome(
        JobStatus.PENDING,
        JobStatus.CANCELLED,
        released=True,
        error=job["error"],
        cause=Cause.STOPPED,
    )


def _unsuccessful(
    result: ExecutionResult, job: Mapping[str, Any], policy: RetryPolicy, now: str
) -> Outcome:
    ended = JobStatus.TIMEOUT if result.status is JobStatus.TIMEOUT else JobStatus.FAILED
    if result.final or job["attempts"] >= job["max_attempts"]:
        return _over(result, ended)
    if result.cause in _CRASHES and _crashed_too_often(job):
        return _over(result._replace(error=_poisonous(result, job)), JobStatus.FAILED)
    delay = _delay(result, job, policy)
    if delay is None:
        cause = retry_policy.cause_name(result.cause)
        return _not_again(result, ended, f"retry_by_cause has {cause!r}: 'never'")
    retry_after = _not_before(delay, now)
    if _is_expired(job, retry_after or now):
        return _not_again(result, ended, _too_late(job, retry_after or now))
    return Outcome(
        JobStatus.PENDING,
        ended,
        retry_after=retry_after,
        crashed=result.cause in _CRASHES,
        error=result.error,
        cause=result.cause or _USUAL_CAUSE[ended],
    )


def _delay(result: ExecutionResult, job: Mapping[str, Any], policy: RetryPolicy) -> float | None:
    """Return the seconds to the next attempt; None when the rule for the cause is "never"."""
    if result.retry.delay is not None:  # from `RetryLater`, or from a function by the policy
        return result.retry.delay
    usual = _usual_delay(result, job, policy)
    return retry_policy.delay_by_rule(policy, retry_policy.cause_name(result.cause), usual)


def _usual_delay(result: ExecutionResult, job: Mapping[str, Any], policy: RetryPolicy) -> float:
    """Return the seconds by the delays of the job, else by those of the worker."""
    delay = policy.delay(job["attempts"])
    if delay is not None:
        return delay
    # The options of a task are all in its policy now; the column has those of the submit.
    if job["retry_delay"] and not retry_policy.stored(job.get("retry_policy")).of_task:
        return float(job["retry_delay"])
    return result.retry.default.delay(job["attempts"]) if result.retry.default else 0.0


def _not_again(result: ExecutionResult, ended: JobStatus, reason: str) -> Outcome:
    error = f"{(result.error or '').rstrip()}{NOT_AGAIN.format(reason)}".lstrip()
    return _over(result._replace(error=error), ended)._replace(reason=reason)


def _too_late(job: Mapping[str, Any], at: str) -> str:
    expiry = clock.to_seconds(clock.normalise(str(job["expires_at"])))
    return f"it expires at {expiry}, and its next attempt would be at {clock.to_seconds(at)}"


def _is_expired(job: Mapping[str, Any], at: str) -> bool:
    """Return True when the job must not start at a time any more."""
    expires_at = job.get("expires_at")
    # Foreign SQL may have stored another form of it, or no time.
    return clock.is_time(expires_at) and clock.normalise(str(expires_at)) <= at


def _crashed_too_often(job: Mapping[str, Any]) -> bool:
    limit = job.get("crash_limit")
    return limit is not None and (job.get("crashes") or 0) + 1 >= limit


def _poisonous(result: ExecutionResult, job: Mapping[str, Any]) -> str:
    crashes, left = (job.get("crashes") or 0) + 1, job["max_attempts"] - job["attempts"]
    said = (
        f"crash limit reached: {crashes} of its attempts killed their process (crash_limit "
        f"{job['crash_limit']}), so the {left} left are not used"
    )
    return f"{said}; the last one: {result.error}" if result.error else said


def _not_before(delay: float | None, now: str) -> str | None:
    return clock.after(now, delay) if delay else None


_USUAL_CAUSE = {
    JobStatus.FAILED: Cause.ERROR,
    JobStatus.TIMEOUT: Cause.TIMEOUT,
    JobStatus.CANCELLED: Cause.CANCELLED,
}
