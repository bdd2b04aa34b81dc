"""What went wrong with retries in other queues, from public bug reports."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from support.set_clock import wait_of

from gigq import Job, JobQueue, Retry, Snooze, Worker, current_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.set_clock import Clock

HOUR = 3600
ATTEMPTS: list[int] = []
SEEN: list[list[dict[str, int]]] = []
NEXT: list[Callable[[], None]] = []


def fail() -> None:
    raise ValueError("x")


def snooze() -> None:
    raise Snooze(60, "not yet")


def nothing() -> None:
    """Do nothing."""


def use_up(orders: list[dict[str, int]]) -> None:
    SEEN.append(deepcopy(orders))
    for order in orders:
        order.clear()
    orders.append({})
    fail()


def do_the_next(steps: int) -> None:
    """Do what the test has put into the list, so many steps of it."""
    for _ in range(steps):
        NEXT.pop(0)()


def note_the_attempt() -> None:
    job = current_job()
    assert job is not None
    ATTEMPTS.append(job.attempt)


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


@pytest.mark.fault("L25")
def test_only_the_last_attempt_is_reported_as_the_end(
    queue: JobQueue, time: Clock, reported: list[tuple[str, dict[str, Any]]]
) -> None:
    """Automattic/kue#142: the failure of a job was reported after its first attempt."""
    job_id = queue.submit(Job("a", fail, max_attempts=3, retry=[5]))
    for _ in range(3):
        Worker(queue).process_one()
        time.forward(5)
    ends = [name for name, fields in reported if fields.get("job_id") == job_id]

    assert ends[-3:] == ["job.retrying", "job.started", "job.failed"]
    assert ends.count("job.failed") == 1


@pytest.mark.fault("L26")
@pytest.mark.parametrize("policy", ["fail", "run", "wait"])
@pytest.mark.parametrize("first", [fail, snooze])
def test_dependents_wait_while_their_parent_waits_for_another_start(
    queue: JobQueue, time: Clock, policy: str, first: Callable[[], None]
) -> None:
    """rq/rq#813: a dependent job started when its parent had failed and was to be tried again."""
    NEXT[:] = [first, lambda: None]
    parent = queue.submit(Job("parent", do_the_next, {"steps": 1}, retry=[60]))
    child = queue.submit(Job("child", nothing, dependencies=[parent], on_parent_failure=policy))
    worker = Worker(queue)

    assert [worker.process_one(), worker.process_one()] == [True, False]
    assert queue.get_status(child)["status"] == "pending"

    time.forward(60)

    assert [worker.process_one(), worker.process_one()] == [True, True]
    assert queue.get_status(child)["status"] == "completed"


@pytest.mark.fault("L27")
def test_each_attempt_gets_the_parameters_that_were_submitted(queue: JobQueue, time: Clock) -> None:
    """rails/rails#55775: an attempt got the parameters as the one before had changed them."""
    SEEN.clear()
    params = {"orders": [{"id": 1}, {"id": 2}]}
    for _ in range(2):
        queue.submit(Job("a", use_up, params, max_attempts=2))
    worker = Worker(queue)
    while worker.process_one():
        pass

    assert [params["orders"]] * 4 == SEEN
