"""A requeue with one attempt more, or with a delay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Worker
from gigq.model import clock

if TYPE_CHECKING:
    from pathlib import Path


LATER = datetime(2999, 1, 1, tzinfo=UTC)


def fail() -> None:
    raise ValueError("x")


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    return JobQueue(tmp_path / "jobs.db")


def run_all(queue: JobQueue) -> int:
    """Run all jobs that are due; return the number of attempts."""
    worker, attempts = Worker(queue), 0
    while worker.process_one():
        attempts += 1
    return attempts


@pytest.mark.parametrize(
    ("max_attempts", "one_more", "attempts"), [(3, True, 1), (3, False, 3), (1, True, 1)]
)
def test_a_failed_job_gets_one_attempt_more_or_all_again(
    queue: JobQueue, max_attempts: int, one_more: bool, attempts: int
) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=max_attempts))
    run_all(queue)

    assert queue.requeue_job(job_id, one_more=one_more) is True
    assert run_all(queue) == attempts
    job = queue.get_status(job_id)
    assert (job["status"], job["attempts"], job["max_attempts"]) == (
        "failed",
        max_attempts,
        max_attempts,
    )


def test_a_job_that_gave_up_early_gets_one_attempt_too(queue: JobQueue) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=5, give_up_on=ValueError))
    run_all(queue)
    queue.requeue_job(job_id, one_more=True)

    assert queue.get_status(job_id)["attempts"] == 4


def test_a_dependent_that_was_never_started_has_all_its_attempts(queue: JobQueue) -> None:
    parent = Job("parent", fail)
    child = Job("child", fail, dependencies=[parent.id])
    queue.submit_many([parent, child])
    run_all(queue)
    done = queue.requeue_many([parent.id], dependents=True, one_more=True)
    attempts = [queue.get_status(one)["attempts"] for one in (parent.id, child.id)]

    assert set(done.jobs) == {parent.id, child.id}
    assert attempts == [2, 0]


@pytest.mark.parametrize("delay", [600, "10m", timedelta(minutes=10)])
def test_a_requeued_job_waits_for_its_delay(queue: JobQueue, delay: Any) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=1))
    run_all(queue)

    assert queue.requeue_many([job_id], delay=delay).jobs == (job_id,)
    assert run_all(queue) == 0
    job = queue.get_status(job_id)
    assert job["retry_after"] == clock.after(job["updated_at"], 600)

    queue.run_now(job_id)

    assert run_all(queue) == 1


def test_an_attempt_after_a_delay_says_that_it_was_requeued(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=1))
    run_all(queue)
    queue.requeue_job(job_id, delay=600)
    due = queue.get_status(job_id)["retry_after"]
    monkeypatch.setattr(clock, "utc_now", lambda: clock.after(due, 5))
    run_all(queue)
    execution = queue.get_status(job_id)["executions"][-1]

    assert (execution["due_at"], execution["due_why"]) == (due, "requeue")


def test_a_requeued_job_waits_until_its_time(queue: JobQueue) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=1))
    run_all(queue)

    assert queue.requeue_job(job_id, run_at=LATER) is True
    assert queue.get_status(job_id)["retry_after"] == clock.to_text(LATER)
    assert run_all(queue) == 0


@pytest.mark.parametrize("delay", [0, None])
def test_a_job_that_is_requeued_without_a_delay_is_due(queue: JobQueue, delay: Any) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=1))
    run_all(queue)
    queue.requeue_job(job_id, delay=delay)

    assert run_all(queue) == 1


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"delay": -1}, "delay is -1"),
        ({"delay": "soon"}, "delay: "),
        ({"delay": ""}, "delay: "),
        ({"delay": 5, "run_at": LATER}, "give either run_at or delay"),
        ({"run_at": LATER.replace(tzinfo=None)}, "has no zone"),
    ],
)
def test_a_time_that_cannot_be_changes_nothing(
    queue: JobQueue, times: dict[str, Any], message: str
) -> None:
    job_id = queue.submit(Job("a", fail, max_attempts=1))
    run_all(queue)
    with pytest.raises(ValueError, match=message):
        queue.requeue_job(job_id, **times)

    assert queue.get_status(job_id)["status"] == "failed"
