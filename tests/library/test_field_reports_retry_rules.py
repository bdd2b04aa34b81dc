"""What went wrong with the options of retries in other queues, from public bug reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.set_clock import wait_of

from gigq import GiveUp, Job, JobQueue, RetryLater, Snooze, Worker, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.set_clock import Clock


def fail() -> None:
    raise ValueError("x")


def snooze() -> None:
    raise Snooze(60, "not yet")


def later() -> None:
    raise RetryLater(5, "closed")


def give_up() -> None:
    raise GiveUp("no such customer")


@task
def changing() -> None:
    raise KeyError("gone")


@pytest.mark.fault("L7")
@pytest.mark.parametrize(
    ("before", "after", "wait"),
    [
        ({"give_up_on": KeyError}, {}, None),
        ({"retry": [30]}, {}, None),
        ({"retry": [30]}, {"retry_delay": 60}, 60),
        ({"retry_delay": 60}, {"retry": [30]}, 30),
        ({"retry_delay": 60}, {"retry_delay": 90}, 90),
        ({"retry_delay": 60}, {}, None),
        ({}, {"retry_delay": 90}, 90),
        ({"retry_delay": 60, "give_up_on": KeyError}, {"give_up_on": OSError}, None),
    ],
)
def test_options_that_were_changed_or_removed_in_the_code_count_for_waiting_jobs(
    queue: JobQueue,
    time: Clock,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, Any],
    after: dict[str, Any],
    wait: float | None,
) -> None:
    """laravel/framework#50793, sidekiq/sidekiq#5675: jobs in the queue kept the old options."""
    monkeypatch.setattr(f"{__name__}.changing", task(**before)(changing.__wrapped__))
    job_id = changing.submit(queue)
    monkeypatch.setattr(f"{__name__}.changing", task(**after)(changing.__wrapped__))
    Worker(queue).process_one()

    assert queue.get_status(job_id)["status"] == "pending"
    assert wait_of(queue, job_id, time.now) == wait


@pytest.mark.fault("L7")
def test_a_delay_that_a_job_was_given_is_not_that_of_its_task(
    queue: JobQueue, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.changing", task(retry=[30])(changing.__wrapped__))
    ids = [
        queue.submit(Job("own", changing, retry_delay=60)),
        changing.options(retry=None, retry_delay=0).submit(queue),
    ]
    for _ in ids:
        Worker(queue).process_one()

    assert [wait_of(queue, job_id, time.now) for job_id in ids] == [60, None]


@pytest.mark.fault("L7")
def test_options_of_one_job_may_remove_those_of_its_task(
    queue: JobQueue, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = task(retry=[30], give_up_on=KeyError)(changing.__wrapped__)
    monkeypatch.setattr(f"{__name__}.changing", declared)
    job_id = declared.options(retry=None, give_up_on=None).submit(queue)
    Worker(queue).process_one()

    assert queue.get_status(job_id)["status"] == "pending"
    assert wait_of(queue, job_id, time.now) is None


@task(max_snoozes=1)
def impatient() -> None:
    raise Snooze(60, "not yet")


@pytest.mark.fault("L7")
def test_more_snoozes_in_the_code_count_for_waiting_jobs(
    queue: JobQueue, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = impatient.submit(queue)
    monkeypatch.setattr(f"{__name__}.impatient", task(max_snoozes=2)(impatient.__wrapped__))
    for _ in range(2):
        Worker(queue).process_one()
        time.forward(60)

    assert queue.get_status(job_id)["status"] == "pending"


def of_a_minute(attempt: int, error: BaseException) -> int:
    return 60


@pytest.mark.fault("L8")
@pytest.mark.parametrize(
    ("declared", "given", "wait"),
    [
        ({"retry_delay": 5}, {"retry": [60]}, 60),
        ({"retry": [60]}, {"retry_delay": 5}, 5),
        ({"retry": [60]}, {"retry_delay": 0}, None),
        ({"retry": [60]}, {"max_attempts": 5}, 60),
    ],
)
def test_an_option_replaces_the_one_of_the_task_that_it_excludes(
    queue: JobQueue, time: Clock, declared: dict[str, Any], given: dict[str, Any], wait: float
) -> None:
    """celery/celery#313: the delay that was given with a retry lost to the usual one, silently."""
    job_id = task(**declared)(fail).options(**given).submit(queue)
    Worker(queue).process_one()

    assert wait_of(queue, job_id, time.now) == wait


@pytest.mark.fault("L8")
@pytest.mark.parametrize(("rule", "wait"), [("now", None), (5, 5), ("policy", 60)])
def test_a_rule_for_a_cause_counts_before_the_delays_of_a_function(
    queue: JobQueue, time: Clock, rule: str | float, wait: float | None
) -> None:
    """celery/celery#313, here of a rule and a function."""
    options = {"retry": of_a_minute, "retry_by_cause": {"error": rule}}
    job_id = queue.submit(Job("a", fail, **options))
    Worker(queue).process_one()

    assert queue.get_status(job_id)["status"] == "pending"
    assert wait_of(queue, job_id, time.now) == wait


def no_more(attempt: int, error: BaseException) -> None:
    return None


@pytest.mark.fault("L9")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"retry_by_cause": {"error": "never"}}, "retry_by_cause has 'error': 'never'"),
        ({"retry_by_cause": {"error": "never"}, "retry": of_a_minute}, "has 'error': 'never'"),
        ({"retry": [60], "expires_in": 60}, "it expires at 2026-06-01 00:01:00+00:00, and"),
        ({"give_up_on": ValueError}, "give_up_on has ValueError"),
        ({"retry": no_more}, "no_more returned None"),
    ],
)
def test_a_job_that_failed_with_attempts_left_says_why(
    queue: JobQueue, time: Clock, options: dict[str, Any], reason: str
) -> None:
    """contribsys/faktory#409: jobs were dead with retries left, and nothing said why."""
    job_id = queue.submit(Job("a", fail, **options))
    Worker(queue).process_one()
    found = queue.get_status(job_id)

    assert (found["status"], found["attempts"]) == ("failed", 1)
    assert found["error"].startswith("ValueError: x")
    assert reason in found["error"].partition("\n\nNot tried again: ")[2]


@pytest.mark.fault("L24")
@pytest.mark.parametrize(
    ("rules", "work", "status", "attempts"),
    [
        ({"give_up_on": Exception, "retry": [60]}, later, "failed", 3),
        ({"retry_on": OSError, "retry": [60]}, later, "failed", 3),
        ({"give_up_on": Exception}, snooze, "pending", 0),
        ({"retry_on": Exception}, give_up, "failed", 1),
    ],
)
def test_what_the_job_itself_decides_is_no_exception_for_the_rules(
    queue: JobQueue,
    time: Clock,
    rules: dict[str, Any],
    work: Callable[[], None],
    status: str,
    attempts: int,
) -> None:
    """celery/celery#4898: a rule for all exceptions took a retry for one: 2047 runs, not 11."""
    job_id = queue.submit(Job("a", work, max_attempts=3, **rules))
    for _ in range(6):
        Worker(queue).process_one()
        time.forward(5 if work is later else 60)
    found = queue.get_status(job_id)

    assert (found["status"], found["attempts"]) == (status, attempts)
