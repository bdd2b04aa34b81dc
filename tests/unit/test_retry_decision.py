from __future__ import annotations

from typing import Any

import pytest

from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult, RetryAdvice
from gigq.model.job_status import TRANSITIONS, JobStatus
from gigq.model.retry import Retry
from gigq.model.retry_decision import MAX_RELEASED_ATTEMPTS, decide
from gigq.model.retry_policy import RetryPolicy

NOW = "2026-01-01T00:00:00.000000+00:00"


def job(**changes: Any) -> dict[str, Any]:
    return {
        "attempts": 1,
        "max_attempts": 3,
        "retry_delay": 0,
        "refunds": 0,
        "error": None,
        **changes,
    }


def failed(**changes: Any) -> ExecutionResult:
    return ExecutionResult(JobStatus.FAILED, error="boom", **changes)


def test_success_completes_the_job_with_its_result() -> None:
    outcome = decide(
        ExecutionResult(JobStatus.COMPLETED, value="[1]"), job(error="an older one"), NOW
    )

    assert (outcome.status, outcome.result) == (JobStatus.COMPLETED, "[1]")
    assert (outcome.error, outcome.cause) == (None, None)


def test_a_failure_with_attempts_left_is_tried_again_and_keeps_its_error() -> None:
    outcome = decide(failed(), job(), NOW)

    assert (outcome.status, outcome.execution_status) == (JobStatus.PENDING, JobStatus.FAILED)
    assert (outcome.error, outcome.cause) == ("boom", Cause.ERROR)
    assert outcome.retry_after is None


def test_a_retry_delay_is_waited_for() -> None:
    assert decide(failed(), job(retry_delay=90), NOW).retry_after == clock.after(NOW, 90)


@pytest.mark.parametrize("ended", [JobStatus.FAILED, JobStatus.TIMEOUT])
def test_the_last_attempt_ends_the_job_as_the_attempt_ended(ended: JobStatus) -> None:
    outcome = decide(ExecutionResult(ended), job(attempts=3), NOW)

    assert (outcome.status, outcome.execution_status) == (ended, ended)


def test_a_timeout_with_attempts_left_is_tried_again() -> None:
    outcome = decide(ExecutionResult(JobStatus.TIMEOUT), job(), NOW)

    assert (outcome.status, outcome.execution_status) == (JobStatus.PENDING, JobStatus.TIMEOUT)
    assert outcome.cause is Cause.TIMEOUT


def test_a_final_failure_is_not_tried_again() -> None:
    assert decide(failed(final=True), job(), NOW).status is JobStatus.FAILED


def test_a_cancelled_execution_cancels_the_job() -> None:
    outcome = decide(ExecutionResult(JobStatus.CANCELLED), job(), NOW)

    assert (outcome.status, outcome.cause) == (JobStatus.CANCELLED, Cause.CANCELLED)


@pytest.mark.parametrize("ended", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_start_cut_short_by_a_stop_is_given_back_at_once(ended: JobStatus) -> None:
    ending = ExecutionResult(ended, error="stopped", cause=Cause.STOPPED)
    outcome = decide(ending, job(retry_delay=60, error="an older one"), NOW)

    assert outcome.released
    assert (outcome.status, outcome.execution_status) == (JobStatus.PENDING, JobStatus.CANCELLED)
    assert (outcome.retry_after, outcome.error) == (None, "an older one")


def test_what_is_final_is_not_given_back() -> None:
    outcome = decide(failed(cause=Cause.STOPPED, final=True), job(), NOW)

    assert (outcome.status, outcome.released) == (JobStatus.FAILED, False)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"max_attempts": 1}, JobStatus.FAILED),
        ({"refunds": MAX_RELEASED_ATTEMPTS}, JobStatus.PENDING),
        ({"refunds": MAX_RELEASED_ATTEMPTS, "attempts": 3}, JobStatus.FAILED),
    ],
)
def test_a_stop_counts_as_a_failure_when_the_start_cannot_be_given_back(
    changes: dict[str, Any], status: JobStatus
) -> None:
    outcome = decide(failed(cause=Cause.STOPPED), job(**changes), NOW)

    assert not outcome.released
    assert (outcome.status, outcome.cause) == (status, Cause.STOPPED)


@pytest.mark.parametrize("cause", [None, *Cause])
@pytest.mark.parametrize("ended", [JobStatus.FAILED, JobStatus.TIMEOUT, JobStatus.CANCELLED])
@pytest.mark.parametrize("attempts", [1, 3])
def test_an_attempt_that_ends_without_success_after_a_cancel_was_asked_for_cancels_the_job(
    ended: JobStatus, cause: Cause | None, attempts: int
) -> None:
    asked = job(attempts=attempts, crash_limit=1, cancel_requested_at=NOW)
    outcome = decide(ExecutionResult(ended, error="boom", cause=cause), asked, NOW)

    assert (outcome.status, outcome.execution_status) == (JobStatus.CANCELLED, JobStatus.CANCELLED)
    assert "boom" in (outcome.error or "")
    assert (outcome.released, outcome.retry_after) == (False, None)


def test_the_error_of_a_cancelled_attempt_says_how_it_ended() -> None:
    asked = job(cancel_requested_at=NOW)
    itself = ExecutionResult(
        JobStatus.CANCELLED, error="JobCancelled: asked", cause=Cause.CANCELLED
    )

    assert decide(itself, asked, NOW).error == "JobCancelled: asked"
    assert decide(failed(), asked, NOW).error == (
        "cancelled while it ran; the attempt ended so: boom"
    )
    assert decide(ExecutionResult(JobStatus.FAILED), asked, NOW).error == "cancelled while it ran"
    assert decide(failed(cause=Cause.LOST), asked, NOW).cause is Cause.CANCELLED


def test_a_function_that_returns_all_the_same_completes_the_job() -> None:
    outcome = decide(ExecutionResult(JobStatus.COMPLETED), job(cancel_requested_at=NOW), NOW)

    assert outcome.status is JobStatus.COMPLETED


CRASHES = [Cause.CRASHED, Cause.MEMORY, Cause.OOM]


@pytest.mark.parametrize("cause", CRASHES)
def test_the_crash_that_reaches_the_limit_ends_the_job(cause: Cause) -> None:
    poison = job(max_attempts=9, crash_limit=2)
    first = decide(failed(cause=cause), {**poison, "crashes": 0}, NOW)
    second = decide(failed(cause=cause), {**poison, "crashes": 1, "attempts": 4}, NOW)

    assert (first.status, first.crashed) == (JobStatus.PENDING, True)
    assert (second.status, second.crashed, second.cause) == (JobStatus.FAILED, True, cause)
    assert second.error == (
        "crash limit reached: 2 of its attempts killed their process (crash_limit 2), so the 5 "
        "left are not used; the last one: boom"
    )


@pytest.mark.parametrize("limit", [None, 3])
def test_without_a_crash_limit_or_below_it_a_crash_is_an_attempt_like_any_other(
    limit: int | None,
) -> None:
    outcome = decide(failed(cause=Cause.CRASHED), job(crashes=1, crash_limit=limit), NOW)

    assert outcome.status is JobStatus.PENDING


@pytest.mark.parametrize("cause", [c for c in Cause if c not in CRASHES])
def test_what_is_no_crash_never_reaches_the_crash_limit(cause: Cause) -> None:
    outcome = decide(
        failed(cause=cause), job(crashes=5, crash_limit=1, refunds=MAX_RELEASED_ATTEMPTS), NOW
    )

    assert (outcome.status, outcome.crashed) == (JobStatus.PENDING, False)


def test_a_crash_in_the_last_attempt_is_reported_as_it_was() -> None:
    last = job(attempts=3, crashes=2, crash_limit=3)

    assert decide(failed(cause=Cause.CRASHED), last, NOW).error == "boom"


@pytest.mark.parametrize("ended", [s for s in JobStatus if s in TRANSITIONS[JobStatus.RUNNING]])
@pytest.mark.parametrize("cause", [None, *Cause])
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("final", [True, False])
def test_every_decision_is_a_move_that_a_running_job_may_make(
    ended: JobStatus, cause: Cause | None, attempts: int, final: bool
) -> None:
    outcome = decide(ExecutionResult(ended, cause=cause, final=final), job(attempts=attempts), NOW)

    assert outcome.status in TRANSITIONS[JobStatus.RUNNING]
    assert outcome.execution_status not in {JobStatus.PENDING, JobStatus.RUNNING}


def policy(**values: Any) -> str:
    return RetryPolicy(**values).to_json()


def test_a_rule_never_ends_the_job_as_the_attempt_ended() -> None:
    never = policy(causes={"timeout": "never"})
    outcome = decide(
        ExecutionResult(JobStatus.TIMEOUT, cause=Cause.TIMEOUT), job(retry_policy=never), NOW
    )

    assert (outcome.status, outcome.cause) == (JobStatus.TIMEOUT, Cause.TIMEOUT)
    assert outcome.reason == "retry_by_cause has 'timeout': 'never'"
    assert outcome.error == f"Not tried again: {outcome.reason}."


def test_a_rule_for_stops_replaces_the_release_of_the_attempt() -> None:
    later = policy(causes={"stop": 30})
    outcome = decide(failed(cause=Cause.STOPPED), job(retry_policy=later), NOW)

    assert not outcome.released
    assert outcome.retry_after == clock.after(NOW, 30)


@pytest.mark.parametrize(
    ("cause", "delay"),
    [
        *((cause, 60) for cause in (Cause.ERROR, Cause.TIMEOUT, Cause.MEMORY, Cause.OOM)),
        (Cause.CRASHED, 60),
        (Cause.LOST, None),
    ],
)
def test_the_usual_rules_for_causes(cause: Cause, delay: float | None) -> None:
    outcome = decide(failed(cause=cause), job(retry_policy=policy(delays=(60.0,))), NOW)

    assert outcome.retry_after == (delay and clock.after(NOW, delay))


def test_the_delays_of_the_worker_are_for_jobs_without_delays_of_their_own() -> None:
    advice = RetryAdvice(default=Retry(first=9, jitter=0))
    result = failed(retry=advice)

    assert decide(result, job(), NOW).retry_after == clock.after(NOW, 9)
    assert decide(result, job(attempts=2), NOW).retry_after == clock.after(NOW, 18)
    assert decide(result, job(retry_delay=4), NOW).retry_after == clock.after(NOW, 4)
    assert decide(result, job(retry_policy=policy(delays=(0.0,))), NOW).retry_after is None


def test_a_policy_of_the_task_replaces_the_stored_one() -> None:
    advice = RetryAdvice(policy=RetryPolicy(delays=(3.0,)))
    outcome = decide(failed(retry=advice), job(retry_policy=policy(delays=(60.0,))), NOW)

    assert outcome.retry_after == clock.after(NOW, 3)


def test_a_snooze_counts_neither_as_an_attempt_nor_as_a_stop() -> None:
    snoozed = failed(cause=Cause.SNOOZED, retry=RetryAdvice(delay=60, snooze=True))
    outcome = decide(snoozed, job(max_attempts=1), NOW)

    assert (outcome.status, outcome.execution_status) == (JobStatus.PENDING, JobStatus.CANCELLED)
    assert (outcome.snoozed, outcome.released, outcome.cause) == (True, False, Cause.SNOOZED)
    assert (outcome.error, outcome.retry_after) == ("boom", clock.after(NOW, 60))


@pytest.mark.parametrize(
    ("delay", "attempts", "status"),
    [(59, 1, JobStatus.PENDING), (60, 1, JobStatus.CANCELLED), (60, 2, JobStatus.FAILED)],
)
def test_a_snooze_until_the_job_has_expired_ends_it(
    delay: int, attempts: int, status: JobStatus
) -> None:
    snoozed = failed(cause=Cause.SNOOZED, retry=RetryAdvice(delay=delay, snooze=True))
    outcome = decide(snoozed, job(attempts=attempts, expires_at=clock.after(NOW, 60)), NOW)

    assert (outcome.status, outcome.snoozed) == (status, True)
    assert outcome.cause is (Cause.SNOOZED if status is JobStatus.PENDING else Cause.EXPIRED)


def test_a_cancel_request_wins_over_a_snooze() -> None:
    snoozed = failed(cause=Cause.SNOOZED, retry=RetryAdvice(delay=60, snooze=True))

    assert decide(snoozed, job(cancel_requested_at=NOW), NOW).status is JobStatus.CANCELLED


def test_a_job_that_snoozes_more_than_max_snoozes_times_fails() -> None:
    snoozed = failed(cause=Cause.SNOOZED, retry=RetryAdvice(delay=60, snooze=True))
    limited = policy(max_snoozes=2)

    again = decide(snoozed, job(retry_policy=limited, snoozes=1), NOW)
    over = decide(snoozed, job(retry_policy=limited, snoozes=2), NOW)

    assert (again.status, over.status) == (JobStatus.PENDING, JobStatus.FAILED)
    assert "once more than max_snoozes (2) allows" in (over.error or "")
    assert over.reason == "it raised Snooze once more than max_snoozes (2) allows"


@pytest.mark.parametrize(("delay", "again"), [(59, True), (60, False), (0, True)])
def test_a_retry_that_would_come_when_the_job_has_expired_is_final(delay: int, again: bool) -> None:
    outcome = decide(failed(), job(retry_delay=delay, expires_at=clock.after(NOW, 60)), NOW)

    assert outcome.status is (JobStatus.PENDING if again else JobStatus.FAILED)
    late = (
        "it expires at 2026-01-01 00:01:00+00:00, and its next attempt would be at "
        "2026-01-01 00:01:00+00:00"
    )
    assert outcome.reason == ("" if again else late)
    assert outcome.error == ("boom" if again else f"boom\n\nNot tried again: {late}.")


@pytest.mark.parametrize("cause", [Cause.ERROR, Cause.CRASHED, Cause.TIMEOUT])
@pytest.mark.parametrize("column", ["no JSON", "5", '{"delays": [-1]}', b"\xff"])
def test_the_error_says_that_a_stored_policy_cannot_be_read(cause: Cause, column: object) -> None:
    outcome = decide(failed(cause=cause), job(retry_policy=column), NOW)

    assert outcome.status is JobStatus.PENDING
    assert outcome.error is not None
    assert outcome.error.startswith("boom\n\nThe column retry_policy of the job cannot be read")


@pytest.mark.parametrize("column", [None, "", '{"delays":[5]}', "{}"])
def test_a_policy_that_can_be_read_is_not_mentioned(column: str | None) -> None:
    assert decide(failed(), job(retry_policy=column), NOW).error == "boom"
