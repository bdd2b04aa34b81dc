"""What went wrong with delayed and expiring jobs in other queues, from public bug reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Snooze, Worker, events
from gigq.store.doctor.inspection import gather
from gigq.store.doctor.queue_checks import judge

if TYPE_CHECKING:
    from support.set_clock import Clock

HOUR = 3600


def work() -> str:
    return "done"


def fail() -> None:
    raise ValueError("x")


def snooze(hours: int) -> None:
    raise Snooze(hours * HOUR, "the file is not there yet")


def run_hourly(queue: JobQueue, time: Clock, job: Job, hours: int) -> dict[str, Any]:
    """Submit a job and let a worker look for it once an hour, so many times; its row then."""
    job_id = queue.submit(job)
    worker = Worker(queue)
    for _ in range(hours):
        worker.process_one()
        time.forward(HOUR)
    worker.process_one()
    found: dict[str, Any] = queue.get_status(job_id)
    return found


@pytest.mark.fault("L10")
@pytest.mark.parametrize("delay", [HOUR, 0])
def test_a_job_that_expires_is_not_tried_after_it(queue: JobQueue, time: Clock, delay: int) -> None:
    """celery/celery#3297: retries had no expiry. cylc/cylc-flow#6284: an expired task was tried.

    celery/celery#7091: a retry of a task with an expiry failed.
    """
    job = Job("a", fail, max_attempts=99, retry=[delay], expires_in=2.5 * HOUR)
    found = run_hourly(queue, time, job, hours=5)

    assert (found["status"], found["attempts"]) == ("failed", 3)
    assert "ValueError: x" in found["error"]
    assert len(found["executions"]) == 3


@pytest.mark.fault("L10")
@pytest.mark.parametrize(("hours", "starts"), [(1, 3), (3, 1)])
def test_a_job_that_puts_itself_off_until_it_has_expired_keeps_its_reason(
    queue: JobQueue, time: Clock, hours: int, starts: int
) -> None:
    """celery/celery#3297, here of a job that waits for something else."""
    heard: list[tuple[str, Any]] = []
    end = events.subscribe(lambda name, fields: heard.append((name, fields.get("cause"))))
    job = Job("a", snooze, {"hours": hours}, expires_in=2.5 * HOUR)
    found = run_hourly(queue, time, job, hours=5)
    end()

    assert (found["status"], found["cause"], found["attempts"]) == ("cancelled", "expired", 0)
    assert "the file is not there yet" in found["error"]
    assert len(found["executions"]) == starts
    assert heard[-1] == ("job.cancelled", "expired")


@pytest.mark.fault("L11")
def test_an_expired_job_can_be_requeued(queue: JobQueue, time: Clock) -> None:
    """statianzo/que-web#73: a retry of an expired job did nothing, since it was still expired."""
    job_id = queue.submit(Job("a", work, expires_in=HOUR))
    time.forward(2 * HOUR)

    assert Worker(queue).process_one() is False
    assert queue.get_status(job_id)["cause"] == "expired"
    assert queue.requeue_job(job_id) is True

    Worker(queue).process_one()

    assert queue.get_status(job_id)["status"] == "completed"


@pytest.mark.fault("L13")
def test_a_job_has_waited_for_a_worker_since_it_became_due(queue: JobQueue, time: Clock) -> None:
    """sidekiq/sidekiq#2373: the latency of a queue counted the ten hours of a delay as well."""
    queue.submit(Job("delayed", work, delay="10h"))
    queue.submit(Job("tried", fail, priority=9, retry=["10h"]))
    Worker(queue).process_one()
    time.forward(10 * HOUR)
    Worker(queue, queues=["other"]).process_one()
    time.forward(30)
    found = {one.check: one for one in judge(gather(queue.db_path))}["oldest"]

    assert found.found == "the oldest due job (queue default) has been due for 30s"
    assert found.severity == "ok"
