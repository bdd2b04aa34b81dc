"""Retry policies as an application uses them: options of jobs and tasks, decisions in a job."""

from __future__ import annotations

import signal
import sys
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from gigq import (
    CancelJob,
    GiveUp,
    Job,
    JobQueue,
    JobTimeout,
    Retry,
    RetryLater,
    Snooze,
    Worker,
    events,
    task,
)
from gigq.errors import InvalidJob
from gigq.model import clock

CALLS: list[tuple[int, str]] = []


class ServiceError(Exception):
    """An exception of the application, with a delay that the service asked for."""

    wait = 90


class BusyError(ServiceError):
    """A more special one."""


def fail(kind: str = "ValueError") -> None:
    raise {"ValueError": ValueError, "ServiceError": ServiceError, "BusyError": BusyError}[kind](
        "x"
    )


def decide(how: str, delay: Any = 60) -> str:
    if how == "done":
        return how
    if how == "later":
        raise RetryLater(delay, "the service is closed")
    if how == "snooze after an error":
        try:
            fail()
        except ValueError as error:
            raise Snooze(delay, "the service is closed") from error
    if how == "snooze":
        raise Snooze(delay, "the file is not there yet")
    raise GiveUp("no such customer") if how == "give up" else CancelJob("no longer wanted")


def decide_at_the_limit(how: str) -> None:
    try:
        signal.pause()
    except JobTimeout:
        decide(how)


def delay_of(attempt: int, error: BaseException) -> float | None:
    CALLS.append((attempt, type(error).__name__))
    return getattr(error, "wait", None)


def broken(attempt: int, error: BaseException) -> float:
    raise KeyError(attempt)


@pytest.fixture
def queue(tmp_path: Any) -> JobQueue:
    CALLS.clear()
    return JobQueue(tmp_path / "jobs.db")


def run(queue: JobQueue, job: Job, times: int = 1) -> dict[str, Any]:
    """Submit a job and run it so many times; its row, with the delay to its next start."""
    job_id = queue.submit(job)
    worker = Worker(queue.db_path)
    for _ in range(times):
        with queue._get_connection() as connection:
            connection.execute("UPDATE jobs SET retry_after = NULL WHERE id = ?", (job_id,))
        worker.process_one()
    found: dict[str, Any] = queue.get_status(job_id)
    last = found["executions"][-1]
    after = found["retry_after"]
    until = None
    if after is not None:
        until = (clock.parse(after) - clock.parse(last["completed_at"])).total_seconds()
    return found | {"delay": until}


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"retry": Retry(first=5, factor=2, jitter=0)}, [5, 10, 20]),
        ({"retry": [10, "1m", timedelta(minutes=5)]}, [10, 60, 300]),
        ({"retry_delay": 7}, [7, 7, 7]),
        ({"retry_delay": 0}, [None, None, None]),
        ({}, [None, None, None]),
    ],
)
def test_the_delays_of_a_job(
    tmp_path: Any, options: dict[str, Any], delays: list[float | None]
) -> None:
    seen = [
        run(JobQueue(tmp_path / f"{times}.db"), Job("a", fail, max_attempts=9, **options), times)
        for times in (1, 2, 3)
    ]

    wanted = [pytest.approx(delay, abs=0.001) if delay else None for delay in delays]
    assert [found["delay"] for found in seen] == wanted


@pytest.mark.parametrize(
    ("kind", "rules", "status"),
    [
        ("ValueError", {"retry_on": ServiceError}, "failed"),
        ("ServiceError", {"retry_on": [ServiceError]}, "pending"),
        ("BusyError", {"retry_on": [ServiceError]}, "pending"),
        ("BusyError", {"retry_on": [ServiceError], "give_up_on": [BusyError]}, "failed"),
        ("BusyError", {"retry_on": [BusyError], "give_up_on": [ServiceError]}, "pending"),
        ("ServiceError", {"retry_on": [BusyError], "give_up_on": [ServiceError]}, "failed"),
        ("BusyError", {"retry_on": [BusyError], "give_up_on": [BusyError]}, "failed"),
        ("ValueError", {"give_up_on": "ValueError"}, "failed"),
        ("ValueError", {"give_up_on": Exception}, "failed"),
        ("ValueError", {"give_up_on": "no.such.module.Error"}, "pending"),
        ("ValueError", {"retry_on": "no.such.module.Error"}, "failed"),
        ("BusyError", {"give_up_on": f"{__name__}.ServiceError"}, "failed"),
    ],
)
def test_the_most_specific_class_decides(
    queue: JobQueue, kind: str, rules: dict[str, Any], status: str
) -> None:
    found = run(queue, Job("a", fail, {"kind": kind}, **rules))

    assert (found["status"], found["attempts"]) == (status, 1)
    assert ("Not tried again: " in found["error"]) == (status == "failed")


@pytest.mark.parametrize("name", ["a_facade.Error", "a_facade.Order.Error"])
def test_a_class_may_be_named_as_it_was_imported_elsewhere(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    facade = ModuleType("a_facade")
    facade.Error = ServiceError  # type: ignore[attr-defined]
    facade.Order = type("Order", (), {"Error": ServiceError})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_facade", facade)

    found = run(queue, Job("a", fail, {"kind": "ServiceError"}, give_up_on=name))

    assert found["status"] == "failed"


@pytest.mark.parametrize("name", ["a_facade.Error", "a_facade.Order.Error", "no.such.Error"])
def test_a_class_that_is_not_found_is_not_the_one_that_was_raised(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "a_facade", None)

    found = run(queue, Job("a", fail, give_up_on=name))

    assert (found["status"], found["error"].splitlines()[-1]) == ("pending", "ValueError: x")


def test_a_function_computes_the_delay_from_the_attempt_and_its_exception(queue: JobQueue) -> None:
    found = run(queue, Job("a", fail, {"kind": "BusyError"}, retry=delay_of))

    assert (found["status"], CALLS) == ("pending", [(1, "BusyError")])
    assert found["delay"] == pytest.approx(90, abs=0.001)


def test_a_function_that_returns_none_ends_the_job(queue: JobQueue) -> None:
    found = run(queue, Job("a", fail, retry=f"{__name__}:delay_of"))

    assert (found["status"], CALLS) == ("failed", [(1, "ValueError")])
    assert f"Not tried again: {__name__}:delay_of returned None." in found["error"]


@pytest.mark.parametrize("retry", [broken, f"{__name__}:missing", "no_such_module:function"])
def test_a_function_that_fails_or_is_missing_loses_no_job(queue: JobQueue, retry: Any) -> None:
    found = run(queue, Job("a", fail, retry=retry))

    assert (found["status"], found["delay"]) == ("pending", None)
    assert "ValueError: x" in found["error"]
    assert "the usual delay is used" in found["error"]


def test_a_function_that_no_worker_could_import_is_refused_at_the_submit(queue: JobQueue) -> None:
    with pytest.raises(InvalidJob, match="lambda"):
        queue.submit(Job("a", fail, retry=lambda attempt, error: 1))

    assert queue.list_jobs() == []


def test_a_function_that_the_allow_list_refuses_is_not_called(queue: JobQueue) -> None:
    job_id = queue.submit(Job("a", fail, retry=delay_of))
    worker = Worker(queue.db_path)
    worker.allow = (f"{__name__}.fail",)
    worker.process_one()

    assert CALLS == []
    assert "FunctionNotAllowed" in queue.get_status(job_id)["error"]


def test_retry_later_uses_an_attempt_and_its_own_delay(queue: JobQueue) -> None:
    found = run(queue, Job("a", decide, {"how": "later", "delay": "2m"}, retry_delay=5))

    assert (found["status"], found["attempts"]) == ("pending", 1)
    assert found["delay"] == pytest.approx(120, abs=0.001)
    assert "the service is closed" in found["error"]
    assert run(queue, Job("a", decide, {"how": "later"}, max_attempts=1))["status"] == "failed"


def test_a_snooze_uses_no_attempt_and_its_reason_is_the_error(queue: JobQueue) -> None:
    found = run(queue, Job("a", decide, {"how": "snooze"}, max_attempts=1), times=3)

    assert (found["status"], found["attempts"]) == ("pending", 0)
    assert found["error_message"] == "the file is not there yet"
    assert found["delay"] == pytest.approx(60, abs=0.001)
    assert [one["cause"] for one in found["executions"]] == ["snoozed"] * 3
    assert {one["status"] for one in found["executions"]} == {"cancelled"}
    assert found["executions"][0]["error"] == "gigq.errors.Snooze: the file is not there yet"


def test_a_snooze_because_of_an_error_keeps_the_tracebacks(queue: JobQueue) -> None:
    error = run(queue, Job("a", decide, {"how": "snooze after an error"}))["error"]

    assert error.startswith("gigq.errors.Snooze: the service is closed\n")
    assert "ValueError: x" in error
    assert f'File "{__file__}"' in error


def test_a_job_may_put_itself_off_max_snoozes_times(queue: JobQueue) -> None:
    found = run(queue, Job("a", decide, {"how": "snooze"}, max_snoozes=2), times=3)

    assert (found["status"], found["attempts"]) == ("failed", 1)
    assert "it raised Snooze once more than max_snoozes (2) allows; the last " in found["error"]
    assert "the file is not there yet" in found["error"]


def test_give_up_and_cancel_end_the_job(queue: JobQueue) -> None:
    given_up = run(queue, Job("a", decide, {"how": "give up"}))
    cancelled = run(queue, Job("b", decide, {"how": "cancel"}))

    assert (given_up["status"], given_up["cause"]) == ("failed", "error")
    assert "no such customer" in given_up["error"]
    assert (cancelled["status"], cancelled["cause"]) == ("cancelled", "cancelled")
    assert "no longer wanted" in cancelled["error"]


@pytest.mark.parametrize(
    ("how", "status", "delay", "attempts"),
    [
        ("give up", "timeout", None, 1),
        ("cancel", "cancelled", None, 1),
        ("later", "pending", 60, 1),
        ("snooze", "pending", 60, 0),
    ],
)
def test_a_job_decides_at_its_time_limit_too(
    queue: JobQueue, how: str, status: str, delay: float | None, attempts: int
) -> None:
    rules: dict[str, Any] = {"max_attempts": 2, "retry_by_cause": {"timeout": "1h"}}
    found = run(queue, Job("j", decide_at_the_limit, {"how": how}, timeout=0.05, **rules))

    assert (found["status"], found["delay"], found["attempts"]) == (status, delay, attempts)
    assert found["executions"][0]["interrupted_by"] == "timeout"


@pytest.mark.parametrize("delay", ["soon", -1, None])
def test_a_decision_without_a_delay_is_a_failure_like_any_other(
    queue: JobQueue, delay: Any
) -> None:
    found = run(queue, Job("a", decide, {"how": "snooze", "delay": delay}))

    assert (found["status"], found["attempts"], found["delay"]) == ("pending", 1, None)
    assert "The delay of Snooze is not valid" in found["error"]


def test_decisions_are_events_with_their_reason(queue: JobQueue) -> None:
    seen: list[tuple[str, Any]] = []
    unsubscribe = events.subscribe(lambda name, fields: seen.append((name, fields.get("reason"))))
    try:
        run(queue, Job("a", decide, {"how": "snooze"}))
        run(queue, Job("b", fail, give_up_on=ValueError))
        run(queue, Job("c", decide, {"how": "snooze"}, max_snoozes=0))
        run(queue, Job("d", fail, retry=["2h"], expires_in="1h"))
        run(queue, Job("e", fail, retry_by_cause={"error": "never"}))
    finally:
        unsubscribe()

    assert (events.JOB_SNOOZED, "the file is not there yet") in seen
    final = [reason for name, reason in seen if name == events.JOB_FAILED]
    assert final[0] == "give_up_on has ValueError"
    assert final[1] == "it raised Snooze once more than max_snoozes (0) allows"
    assert final[2].startswith("it expires at ")
    assert final[3] == "retry_by_cause has 'error': 'never'"


def test_the_event_of_a_snooze_that_comes_too_late_has_no_traceback(queue: JobQueue) -> None:
    heard: dict[str, dict[str, Any]] = {}
    unsubscribe = events.subscribe(heard.__setitem__)
    try:
        run(queue, Job("a", decide, {"how": "snooze", "delay": "2h"}, expires_in="1h"))
    finally:
        unsubscribe()

    found = heard[events.JOB_CANCELLED]
    assert found["error_traceback"] is None
    assert found["reason"].startswith("it expires at ")


@task(give_up_on=KeyError, retry=[30])
def changing() -> None:
    raise KeyError("gone")


def test_a_policy_that_was_changed_in_the_code_applies_from_the_next_failure_on(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, own = changing.to_job(), changing.options(retry=[45]).to_job()
    monkeypatch.setattr(f"{__name__}.changing", task(retry=[20])(changing.__wrapped__))

    assert run(queue, before)["delay"] == pytest.approx(20, abs=0.001)
    assert run(queue, own)["status"] == "failed"


def test_a_requeued_job_may_put_itself_off_again(queue: JobQueue) -> None:
    found = run(queue, Job("a", decide, {"how": "snooze"}, max_snoozes=1), times=2)
    assert found["status"] == "failed"

    queue.requeue_job(found["id"])
    Worker(queue.db_path).process_one()

    assert queue.get_status(found["id"])["status"] == "pending"
