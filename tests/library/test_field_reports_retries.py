"""What went wrong with retries in other queues, from public bug reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Retry, Snooze, Worker, current_job, task
from gigq.model import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.set_clock import Clock

HOUR = 3600
ATTEMPTS: list[int] = []
NEXT: list[Callable[[], None]] = []


def fail() -> None:
    raise ValueError("x")


def snooze() -> None:
    raise Snooze(60, "not yet")


def do_the_next(steps: int) -> None:
    """Do what the test has put into the list, so many steps of it."""
    for _ in range(steps):
        NEXT.pop(0)()


def note_the_attempt() -> None:
    job = current_job()
    assert job is not None
    ATTEMPTS.append(job.attempt)


def wait_of(queue: JobQueue, job_id: str, now: str) -> float | None:
    """The seconds until a job is due again; None when it is due now."""
    after = queue.get_status(job_id)["retry_after"]
    if after is None:
        return None
    return (clock.parse(after) - clock.parse(now)).total_seconds()


@pytest.mark.fault("L1")
def test_jobs_that_failed_together_stay_apart_at_the_longest_delay(
    queue: JobQueue, time: Clock
) -> None:
    """ferd/backoff#8: at the longest delay there was no jitter, and waiting jobs met again."""
    policy = Retry(first="1h", factor=2, longest="1h", jitter=0.5)
    ids = queue.submit_many([Job("a", fail, retry=policy) for _ in range(20)])
    worker = Worker(queue)
    while worker.process_one():
        pass
    waits = [wait_of(queue, job_id, time.now) for job_id in ids]

    assert len(set(waits)) == 20
    assert all(wait and HOUR / 2 <= wait <= HOUR for wait in waits)


@pytest.mark.fault("L2")
@pytest.mark.parametrize(("first", "wanted"), [(5, HOUR), (0, None)])
def test_no_number_of_attempts_makes_a_delay_overflow(
    queue: JobQueue, time: Clock, first: float, wanted: float | None
) -> None:
    """procrastinate-org/procrastinate#1462: after 16 attempts the next time was no date.

    riverqueue/river#697: it was in the past.
    """
    policy = Retry(first=first, factor=1e200, longest="1h", jitter=0)
    job_id = queue.submit(Job("a", fail, max_attempts=9, retry=policy))
    for _ in range(4):
        Worker(queue).process_one()
        now = time.now
        time.forward(HOUR)

    assert queue.get_status(job_id)["attempts"] == 4
    assert wait_of(queue, job_id, now) == wanted


@pytest.mark.fault("L3")
def test_a_delay_counts_from_the_end_of_the_attempt(queue: JobQueue, time: Clock) -> None:
    """riverqueue/river#74: it counted from the start, so that after long jobs there was none."""
    NEXT[:] = [lambda: time.forward(HOUR), fail]
    job_id = queue.submit(Job("a", do_the_next, {"steps": 2}, timeout=None, retry=[60]))
    Worker(queue).process_one()

    assert wait_of(queue, job_id, time.now) == 60


@pytest.mark.fault("L4")
def test_a_job_that_put_itself_off_has_the_first_delay_after_its_first_failure(
    queue: JobQueue, time: Clock
) -> None:
    """oban-bg/oban#476: snoozes counted for the backoff, and the first retry came after days."""
    ATTEMPTS.clear()
    NEXT[:] = [note_the_attempt, snooze] * 5 + [note_the_attempt, fail]
    policy = Retry(first=10, factor=6, longest="1h", jitter=0)
    job_id = queue.submit(Job("a", do_the_next, {"steps": 2}, retry=policy))
    for _ in range(6):
        Worker(queue).process_one()
        now = time.now
        time.forward(60)

    assert ATTEMPTS == [1] * 6
    assert wait_of(queue, job_id, now) == 10


@pytest.mark.fault("L5")
def test_a_requeued_job_begins_with_the_first_delay(queue: JobQueue, time: Clock) -> None:
    """taskforcesh/bullmq#3442: a manual retry kept the number that the backoff is made from."""
    job_id = queue.submit(Job("a", fail, max_attempts=3, retry=[10, 20]))
    for _ in range(3):
        Worker(queue).process_one()
        time.forward(60)

    assert queue.requeue_job(job_id) is True
    assert wait_of(queue, job_id, time.now) is None

    Worker(queue).process_one()

    assert wait_of(queue, job_id, time.now) == 10


@pytest.mark.fault("L6")
def test_a_retry_waits_for_its_own_delay_and_is_the_same_job(queue: JobQueue, time: Clock) -> None:
    """getsentry/taskbroker#317: each retry of a delayed task waited for its first delay again.

    taskiq-python/taskiq#493: a retry was a task with another id.
    """
    job_id = queue.submit(Job("a", fail, delay="2h", retry=[10]))
    time.forward(2 * HOUR)
    Worker(queue).process_one()

    assert wait_of(queue, job_id, time.now) == 10

    time.forward(10)
    Worker(queue).process_one()

    assert [one["id"] for one in queue.list_jobs()] == [job_id]
    assert queue.get_status(job_id)["attempts"] == 2


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
