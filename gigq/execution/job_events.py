"""Events of a worker about its jobs: started, settled, released, unreadable."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from gigq import events
from gigq.model import failure_details
from gigq.model.cause import Cause
from gigq.model.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gigq.model.claim import Claim, ExpiredJob, FailedDependent, Finished, Settled
    from gigq.model.execution_result import ExecutionResult, UnknownFunction

_SECOND = 1.0
_LONG = 1.0
"""Seconds from which on each successful job has a line of its own."""

_FEW = 10
"""Number of jobs that expire together of which each has a line of its own."""

_SHOWN = 5
_EVENTS = {
    JobStatus.COMPLETED: (events.JOB_COMPLETED, logging.INFO),
    JobStatus.PENDING: (events.JOB_RETRYING, logging.WARNING),
    JobStatus.FAILED: (events.JOB_FAILED, logging.ERROR),
    JobStatus.TIMEOUT: (events.JOB_TIMEOUT, logging.ERROR),
    JobStatus.CANCELLED: (events.JOB_CANCELLED, logging.WARNING),
}


class Counts(Protocol):
    """Numbers of successes without a line in the log.

    Attributes:
        summed: those that are reported at level DEBUG only.
        unreported: those that are recorded, and are reported after the running job has ended.
    """

    summed: int
    unreported: int


class _OwnCounts:
    def __init__(self) -> None:
        self.summed = 0
        self.unreported = 0


class JobEvents:
    """The events of one worker thread.

    Further successes in a second, after `jobs_per_second` of them, are reported at level DEBUG
    only, and counted: otherwise the log could grow by gigabytes a day. Subscribers are called for
    every job.

    Args:
        logger: the logger that gets the events, besides the subscribers.
        jobs_per_second: number of successful jobs per second with a line of their own; 0 for all.
            A job that took a second or more always has one.
        counts: counts the others.
    """

    def __init__(
        self, logger: logging.Logger, jobs_per_second: int = 0, counts: Counts | None = None
    ) -> None:
        self._logger = logger
        self._most = jobs_per_second
        self._counts = counts or _OwnCounts()
        self._lines = 0
        self._second_ends = 0.0

    def started(self, claim: Claim) -> None:
        """Report the start of an attempt."""
        level = logging.DEBUG
        if events.heard(level, self._logger):
            events.emit(events.JOB_STARTED, level=level, source=self._logger, **fields_of(claim))

    def settled(self, finished: Finished, done: Settled | None) -> None:
        """Report a settled execution; `done` is None when another process had settled it."""
        claim = finished.claim
        if done is None:
            superseded = events.JOB_SUPERSEDED
            events.emit(superseded, level=logging.WARNING, source=self._logger, **fields_of(claim))
            return
        if finished.result.unknown and done.job_status is JobStatus.PENDING:
            if done.is_first_unknown:
                function_unknown(finished.result.unknown, finished.result, self._logger)
            return
        if done.job_status is not JobStatus.COMPLETED:
            ended(done, finished.result, fields_of(claim), finished.seconds, self._logger)
            return
        if finished.result.interrupted_by is not None:
            self._returned_after_interruption(claim, finished.result)
        level = self._level_of_success(finished.seconds)
        if events.heard(level, self._logger):
            fields = {
                **fields_of(claim),
                "duration": round(finished.seconds, 6),
                "retry_after": None,
            }
            events.emit(events.JOB_COMPLETED, level=level, source=self._logger, **fields)

    def _level_of_success(self, seconds: float) -> int:
        """Return the level of a success: DEBUG when it is only counted."""
        if not self._most or seconds >= _LONG:
            return logging.INFO
        now = time.monotonic()
        if now >= self._second_ends:
            self._lines = 0
            self._second_ends = now + _SECOND
        if self._lines < self._most:
            self._lines += 1
            return logging.INFO
        self._counts.summed += 1
        return logging.DEBUG

    def _returned_after_interruption(self, claim: Claim, result: ExecutionResult) -> None:
        """Report a function that returned after an interruption or a request to end."""
        events.emit(
            events.JOB_RETURNED_AFTER_INTERRUPTION,
            level=logging.WARNING,
            source=self._logger,
            **fields_of(claim),
            interrupted_by=result.interrupted_by,
            returned_after=result.returned_after,
        )

    def released(self, claim: Claim, done: Settled) -> None:
        """Report a released claim whose job was cancelled; otherwise the job is due again."""
        if done.job_status is not JobStatus.PENDING:
            ended(done, None, fields_of(claim), None, self._logger)

    def unreported(self, done: Iterable[Settled | None]) -> None:
        """Count the successes among executions that were settled while a job runs."""
        ended = (one.job_status for one in done if one is not None)
        self._counts.unreported += sum(status is JobStatus.COMPLETED for status in ended)

    def all_reported(self) -> None:
        """Note that all settled executions are reported."""
        self._counts.unreported = 0

    def unreadable(self, row: dict[str, Any], error: Exception) -> None:
        """Report a claimed row that cannot be read as a job; foreign SQL wrote it."""
        facts = failure_details.Failure(type(error).__name__, str(error))
        known = {"job_id": row["id"], "job": row.get("name"), **failure_details.fields(facts)}
        events.emit(events.JOB_FAILED, level=logging.ERROR, source=self._logger, **known)


def ended(
    done: Settled,
    result: ExecutionResult | None,
    known: Mapping[str, Any],
    seconds: float | None = None,
    source: logging.Logger = events.logger,
) -> None:
    """Report a settled execution without success: its failure and the effects.

    Args:
        done: the effects of settling it.
        result: the result; None when it did not start.
        known: the fields that name the job and the attempt.
        seconds: its duration; None when unknown.
        source: the logger.
    """
    name, level = _EVENTS[done.job_status]
    if result and result.retry.snooze and done.job_status is JobStatus.PENDING:
        name, level = events.JOB_SNOOZED, logging.INFO
    if events.heard(level, source):
        facts = _facts(result, done.cause or result.cause) if result else {}
        duration = None if seconds is None else round(seconds, 6)
        more = {"duration": duration, "retry_after": done.retry_after, **facts}
        problem = result.retry.problem if result and done.job_status is JobStatus.PENDING else ""
        if reason := done.reason or problem:
            more["reason"] = reason
        events.emit(name, level=level, source=source, **known, **more)
    failed_by_parents(done.failed_dependents, source)


def function_unknown(
    unknown: UnknownFunction, result: ExecutionResult, source: logging.Logger
) -> None:
    """Report a function that this worker does not know; its jobs wait for another one."""
    facts = result.failure or failure_details.split(result.error)
    events.emit(
        events.FUNCTION_UNKNOWN,
        level=logging.WARNING,
        source=source,
        function=f"{unknown.module}:{unknown.name}",
        wait=unknown.wait,
        **failure_details.fields(facts),
    )


def known_of(row: Mapping[str, Any], done: Settled) -> dict[str, Any]:
    """Return the fields that name the job and the attempt of an execution of another process.

    Args:
        row: one of `settle_and_claim.open_executions`.
        done: the effects of settling it.
    """
    return {
        "job_id": done.job_id,
        "job": row["name"],
        "attempt": row["attempt"],
        "max_attempts": done.max_attempts,
        "execution": done.execution_id,
        "worker": row["worker_id"],
        "queue": row["queue"],
    }


def failed_by_parents(
    jobs: Iterable[FailedDependent],
    source: logging.Logger = events.logger,
    level: int = logging.ERROR,
) -> None:
    """Report jobs that failed because a parent ended without success."""
    for one in jobs:
        events.emit(
            events.JOB_FAILED,
            level=level,
            source=source,
            job_id=one.job_id,
            job=one.name,
            cause=Cause.PARENT.value,
            parent_id=one.parent_id,
            parent=one.parent_name,
            parent_status=one.parent_status,
        )


def expired(jobs: Sequence[ExpiredJob], source: logging.Logger = events.logger) -> None:
    """Report pending jobs that ended because they were not started in time, and the effects.

    Each of many jobs has a line at level DEBUG only, and all of them one line with their number.
    """
    many = len(jobs) > _FEW
    if not many or events.heard(logging.DEBUG, source):
        for one in jobs:
            _expired(one, source, logging.DEBUG if many else None)
    if many:
        _sum_of_expired(jobs, source)


def _expired(one: ExpiredJob, source: logging.Logger, level: int | None) -> None:
    name, usual = _EVENTS[one.status]
    facts = failure_details.fields(failure_details.split(one.error))
    events.emit(
        name,
        level=level or usual,
        source=source,
        job_id=one.job_id,
        job=one.name,
        attempt=one.attempt,
        max_attempts=one.max_attempts,
        queue=one.queue,
        **{"cause": Cause.EXPIRED.value, **facts},
    )
    failed_by_parents(one.failed_dependents, source, level or logging.ERROR)


def _sum_of_expired(jobs: Sequence[ExpiredJob], source: logging.Logger) -> None:
    failed = sum(one.status is JobStatus.FAILED for one in jobs)
    dependents = sum(len(one.failed_dependents) for one in jobs)
    events.emit(
        events.JOBS_EXPIRED,
        level=logging.ERROR if failed or dependents else logging.WARNING,
        source=source,
        count=len(jobs),
        failed=failed,
        dependents=dependents,
        first=[one.job_id for one in jobs[:_SHOWN]],
    )


def _facts(result: ExecutionResult, cause: Cause | None) -> dict[str, Any]:
    """Return the failure of an execution as fields of an event."""
    reason = {"reason": result.retry.reason} if result.retry.reason else {}
    known = {"cause": cause.value if cause else None, **reason}
    if cause is Cause.SNOOZED:
        return known
    facts = result.failure or failure_details.split(result.error)
    return {**known, **failure_details.fields(facts)}


def fields_of(claim: Claim) -> dict[str, Any]:
    """Return the fields that name a job and its attempt."""
    return {
        "job_id": claim.job_id,
        "job": claim.name,
        "attempt": claim.attempt,
        "max_attempts": claim.max_attempts,
        "execution": claim.execution_id,
        "worker": claim.worker_id,
        "queue": claim.queue,
    }
