"""What went wrong with delayed and expiring jobs in other queues, from public bug reports."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.set_clock import NOW, wait_of

from gigq import Job, JobQueue, Snooze, Worker, Workflow, events
from gigq.model import clock
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


def take(parent_results: dict[str, Any]) -> dict[str, Any]:
    return parent_results


def work_off(path: str) -> None:
    worker = Worker(path)
    while worker.process_one():
        pass


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


@pytest.mark.fault("L14")
def test_a_job_at_the_end_of_the_calendar_holds_nothing_up(queue: JobQueue, time: Clock) -> None:
    """OptimalBits/bull#244: a job with a delay of more than 24 days started at once."""
    last = datetime.max.replace(tzinfo=UTC)
    ids = [queue.submit(Job("a", work, run_at=last)), queue.submit(Job("b", work, delay="3650d"))]
    worker = Worker(queue)

    assert worker.process_one() is False

    time.forward(3650 * 24 * HOUR)

    assert [worker.process_one(), worker.process_one()] == [True, False]
    assert [queue.get_status(job_id)["status"] for job_id in ids] == ["pending", "completed"]


@pytest.mark.fault("L15")
def test_a_job_that_waits_for_longer_than_finished_ones_are_kept_has_its_parents(
    queue: JobQueue, time: Clock
) -> None:
    """python-arq/arq#320: what belonged to a job that waited expired after a day, and so did it."""
    parent, other = queue.submit(Job("parent", work)), queue.submit(Job("other", work))
    child = queue.submit(Job("child", take, dependencies=[parent], delay="60d"))
    worker = Worker(queue)
    for _ in range(2):
        worker.process_one()
    time.forward(60 * 24 * HOUR)

    assert queue.prune(older_than=24 * HOUR)["completed"] == 1
    assert queue.get_status(other) == {"exists": False}

    worker.process_one()

    assert queue.get_status(child)["result"] == {parent: "done"}


@pytest.mark.fault("L16")
@pytest.mark.parametrize("options", [{"delay": "2h"}, {"retry": ["2h"]}])
def test_a_job_that_waits_for_its_time_is_cancelled_at_once(
    queue: JobQueue, time: Clock, options: dict[str, Any]
) -> None:
    """python-arq/arq#172: a deferred job could not be cancelled, later only at its time."""
    job_id = queue.submit(Job("a", fail, **options))
    worker = Worker(queue)
    worker.process_one()
    starts = len(queue.get_status(job_id)["executions"])

    assert queue.cancel(job_id) is True
    assert queue.get_status(job_id)["status"] == "cancelled"

    time.forward(3 * HOUR)

    assert worker.process_one() is False
    assert len(queue.get_status(job_id)["executions"]) == starts


@pytest.mark.fault("L17")
def test_a_job_starts_or_is_put_off_but_never_both(queue: JobQueue) -> None:
    """oban-bg/oban#95: a new time for a job that had just started was lost at its end."""
    ids = queue.submit_many([Job("a", work) for _ in range(300)])
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(work_off, queue.db_path)
        is_put_off = {job_id: queue.reschedule(job_id, delay="1h") for job_id in reversed(ids)}
        busy.result()
    rows = {job_id: queue.get_status(job_id) for job_id in ids}
    started = {job_id: row["status"] == "completed" for job_id, row in rows.items()}

    assert started == {job_id: not done for job_id, done in is_put_off.items()}
    assert all(bool(rows[job_id]["executions"]) is one for job_id, one in started.items())


@pytest.mark.fault("L18")
def test_thousands_of_jobs_that_wait_do_not_hold_up_one_that_is_due(
    queue: JobQueue, time: Clock
) -> None:
    """celery/celery#3778: workers with many tasks that waited for their time took no others."""
    queue.submit_many([Job("waits", work, delay="1h", priority=9) for _ in range(5000)])
    job_id = queue.submit(Job("is due", work))
    Worker(queue).process_one()

    assert queue.get_status(job_id)["status"] == "completed"


@pytest.mark.fault("L28")
def test_jobs_that_waited_or_were_requeued_keep_their_age(queue: JobQueue, time: Clock) -> None:
    """riverqueue/river#211: jobs that were retried took a place by a time that was no longer true.

    Here the place of a job is that of its submit, as the pages of the manual say.
    """
    names = ["requeued", "delayed", "tried", "new"]
    options: list[dict[str, Any]] = [{}, {"delay": "2h"}, {"retry": ["2h"]}, {}]
    ids = {}
    worker = Worker(queue)
    for name, given in zip(names, options, strict=True):
        most = 2 if name == "tried" else 1
        ids[name] = queue.submit(Job(name, fail, max_attempts=most, **given))
        if name != "new":
            worker.process_one()
        time.forward(HOUR)
    queue.requeue_job(ids["requeued"])
    time.forward(2 * HOUR)
    for _ in range(4):
        worker.process_one()
        time.forward(1)
    last = {name: queue.get_status(ids[name])["executions"][-1] for name in names}

    assert sorted(names, key=lambda name: last[name]["started_at"]) == names


@pytest.mark.fault("L29")
@pytest.mark.parametrize("way", ["submit_many", "workflow"])
def test_each_job_of_a_batch_has_its_own_times_and_rules(
    queue: JobQueue, time: Clock, way: str
) -> None:
    """bensheldon/good_job#959: jobs that were stored together did not keep their delays."""
    soon = NOW + timedelta(hours=1)
    options: list[dict[str, Any]] = [
        {}, {"delay": 60}, {"delay": "1m"}, {"delay": 61}, {"expires_in": 60}, {"run_at": soon},
        {"delay": 1, "expires_in": 60}, {"retry": [1]}, {"retry": [2]}, {},
    ]  # fmt: skip
    many = [Job("a", work, **given) for given in options for _ in range(2)]
    if way == "workflow":
        workflow = Workflow("w")
        for job in many:
            workflow.add_job(job)
        workflow.submit_all(queue)
    else:
        queue.submit_many(many)
    rows = [queue.get_status(job.id) for job in many][::2]
    delays = [wait_of(queue, row["id"], time.now) for row in rows]
    expiry = clock.after(time.now, 60)

    assert delays == [None, 60, 60, 61, None, HOUR, 1, None, None, None]
    assert [row["expires_at"] for row in rows] == [
        *[None] * 4, expiry, None, expiry, *[None] * 3,
    ]  # fmt: skip
    assert [row["retry_policy"] and row["retry_policy"]["delays"] for row in rows] == [
        *[None] * 7, [1.0], [2.0], None,
    ]  # fmt: skip
