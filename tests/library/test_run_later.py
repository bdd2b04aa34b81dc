"""Jobs that are submitted to run later, or not too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

import pytest
from support.set_clock import NOW

from gigq import Job, JobQueue, Worker, events, task
from gigq.errors import InvalidJob
from gigq.model import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.set_clock import Clock


class BrokenZone(tzinfo):
    """A zone whose data cannot be read."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        raise RuntimeError("no zone file")


class HugeZone(tzinfo):
    """A zone that is two days ahead."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(days=2)


class BrokenTime(datetime):
    """A time that cannot be converted."""

    def astimezone(self, tz: tzinfo | None = None) -> Any:
        raise RuntimeError


def work() -> str:
    return "done"


@pytest.fixture
def queue(tmp_path: Path, time: Clock) -> Iterator[JobQueue]:
    with JobQueue(tmp_path / "queue.db") as opened:
        yield opened


def job(**options: Any) -> Job:
    return Job("later", work, **options)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"delay": 90}, 90),
        ({"delay": 0.5}, 0.5),
        ({"delay": "10m"}, 600),
        ({"delay": "1h30m"}, 5400),
        ({"delay": "90"}, 90),
        ({"delay": timedelta(days=1)}, 86400),
        ({"run_at": NOW + timedelta(seconds=7)}, 7),
        ({"run_at": datetime(2026, 6, 1, 2, 1, tzinfo=timezone(timedelta(hours=2)))}, 60),
    ],
)
def test_a_job_starts_at_its_time_and_not_a_microsecond_before(
    queue: JobQueue, time: Clock, options: dict[str, Any], seconds: float
) -> None:
    job_id = queue.submit(job(**options))
    worker = Worker(queue)
    time.forward(seconds - 0.000001)

    assert worker.process_one() is False

    time.forward(0.000001)
    due_at = time.now
    time.forward(1)

    assert worker.process_one() is True
    (execution,) = queue.get_status(job_id)["executions"]
    assert (execution["due_at"], execution["due_why"]) == (due_at, "delay")


@pytest.mark.parametrize("options", [{"delay": 0}, {"run_at": NOW}, {"run_at": NOW.replace(1999)}])
def test_a_time_that_is_past_is_now(queue: JobQueue, options: dict[str, Any]) -> None:
    job_id = queue.submit(job(**options))
    assert queue.get_status(job_id)["retry_after"] is None

    Worker(queue).process_one()

    assert queue.get_status(job_id)["executions"][0]["due_why"] == "submit"


def test_times_count_from_the_submit_and_not_from_the_making_of_the_job(
    queue: JobQueue, time: Clock
) -> None:
    made = job(delay=10, expires_in=20)
    time.forward(3600)
    row = queue.get_status(queue.submit(made))

    assert row["retry_after"] == clock.after(time.now, 10)
    assert row["expires_at"] == clock.after(time.now, 20)
    assert (made.delay, made.expires_in, made.run_at) == (10, 20, None)


def test_jobs_of_one_batch_and_delay_are_due_at_one_time(queue: JobQueue) -> None:
    ids = queue.submit_many([job(delay="1h") for _ in range(3)])

    assert len({queue.get_status(one)["retry_after"] for one in ids}) == 1


def test_a_task_takes_the_times(queue: JobQueue, time: Clock) -> None:
    later = task(delay=30)(work)
    ids = [later.submit(queue), later.options(delay=None, run_at=NOW).submit(queue)]
    ids.append(later.options(expires_in="1h").submit(queue))
    rows = [queue.get_status(one) for one in ids]

    assert [row["retry_after"] for row in rows] == [
        clock.after(time.now, 30), None, clock.after(time.now, 30),
    ]  # fmt: skip
    assert rows[2]["expires_at"] == clock.after(time.now, 3600)
    until = later.options(expires_at=NOW + timedelta(hours=2)).submit(queue)
    assert queue.get_status(until)["expires_at"] == clock.after(time.now, 7200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_at": datetime(2026, 12, 1)}, "run_at is .*has no zone.*run_at.astimezone"),  # noqa: DTZ001
        ({"run_at": "2026-12-01"}, "run_at is '2026-12-01'; give a datetime with a zone"),
        ({"run_at": 5}, "run_at is 5; give a datetime"),
        (
            {"run_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))},
            "outside the years 1 to 9999",
        ),
        ({"run_at": NOW, "delay": 5}, "both run_at and delay; give one of them"),
        (
            {"run_at": NOW.replace(tzinfo=BrokenZone())},
            "whose zone raises .*no zone file.*use one of",
        ),
        ({"expires_at": NOW.replace(tzinfo=HugeZone())}, "whose zone raises ValueError"),
        ({"run_at": BrokenTime(2027, 1, 1, tzinfo=UTC)}, "whose zone raises RuntimeError"),
        ({"delay": -1}, "delay is -1; give a number from 0"),
        ({"delay": timedelta(-1)}, "delay is .*; give a number from 0"),
        ({"delay": 10**400}, "delay is 10.*; give a number from 0 to"),
        ({"delay": "soon"}, '"soon" is not a duration'),
        ({"delay": float("nan")}, "delay is nan; give a number"),
        ({"delay": float("inf")}, "delay is inf; give a number"),
        ({"delay": True}, "delay is True; give a number"),
        ({"expires_in": 0}, "expires_in is 0; give more than 0"),
        ({"expires_in": "-1s"}, '"-1s" is not a duration'),
        ({"expires_in": [1]}, r"expires_in is \[1\]; give a number"),
        (
            {"expires_at": NOW.replace(tzinfo=None)},
            "expires_at is .*no zone.*expires_at.astimezone",
        ),
        ({"expires_at": 60}, "expires_at is 60; give a datetime with a zone, or use expires_in"),
        ({"expires_at": NOW, "expires_in": 5}, "both expires_in and expires_at; give one of them"),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_the_remedy(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidJob, match=f"job 'later': .*{message}"):
        job(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 60, "expires_in": 60},
        {"delay": "2h", "expires_in": "1h"},
        {"run_at": NOW + timedelta(hours=2), "expires_in": "1h"},
    ],
)
def test_a_job_that_would_expire_before_it_is_due_is_not_stored(
    queue: JobQueue, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidJob, match=r"it would expire at .*, and is due only at .*longer one"):
        queue.submit_many([job(), job(**options)])

    assert queue.stats()["total"] == 0


def test_a_job_does_not_start_from_its_expiry_on(queue: JobQueue, time: Clock) -> None:
    until = datetime(2026, 6, 1, 2, 1, tzinfo=timezone(timedelta(hours=2)))
    ids = queue.submit_many([job(expires_at=until), job(expires_at=until)])
    worker = Worker(queue)
    time.forward(59.999999)

    assert worker.process_one() is True

    time.forward(0.000001)

    assert worker.process_one() is False
    rows = [queue.get_status(one) for one in ids]
    assert sorted(row["status"] for row in rows) == ["cancelled", "completed"]
    assert {row["expires_at"] for row in rows} == {"2026-06-01T00:01:00.000000+00:00"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expires_at": NOW}, r"expires_at is 2026-06-01 00:00:00\+00:00, which is past"),
        (
            {"expires_at": NOW + timedelta(minutes=1), "delay": "1m"},
            r"would expire at 2026-06-01 00:01:00.00:00, .* due only at .*; give a later",
        ),
    ],
)
def test_a_job_that_could_never_start_is_not_stored(
    queue: JobQueue, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidJob, match=message):
        queue.submit_many([job(), job(**options)])

    assert queue.stats()["total"] == 0


def test_a_plain_worker_ends_expired_jobs_and_reports_them(queue: JobQueue, time: Clock) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    end = events.subscribe(lambda name, fields: heard.append((name, fields)))
    first = queue.submit(job(expires_in=10))
    child = queue.submit(job(dependencies=[first]))
    heard.clear()
    time.forward(10)
    ran = Worker(queue).process_one()
    end()

    assert ran is False
    assert [(name, fields["job_id"], fields["cause"]) for name, fields in heard] == [
        ("job.cancelled", first, "expired"),
        ("job.failed", child, "parent"),
    ]
    assert heard[0][1]["error_type"] == "JobExpired"
    assert queue.get_status(first)["cause"] == "expired"


def test_a_subclass_with_its_own_claims_ends_expired_jobs_too(queue: JobQueue, time: Clock) -> None:
    class Own(Worker):
        def _claim_job(self) -> None:
            return None

    job_id = queue.submit(job(expires_in=10))
    time.forward(10)
    Own(queue)._check_for_timeouts()

    assert queue.get_status(job_id)["status"] == "cancelled"


def test_a_delayed_job_is_made_due_now(queue: JobQueue, time: Clock) -> None:
    job_id = queue.submit(job(delay="1h"))
    time.forward(5)

    assert queue.run_now(job_id) is True
    assert Worker(queue).process_one() is True
    (execution,) = queue.get_status(job_id)["executions"]
    assert (execution["due_at"], execution["due_why"]) == (time.now, "rescheduled")


def test_a_job_that_is_due_is_put_off(queue: JobQueue, time: Clock) -> None:
    job_id = queue.submit(job())

    assert queue.reschedule(job_id, delay=60) is True
    assert queue.get_status(job_id)["due_at"] is None
    assert Worker(queue).process_one() is False

    time.forward(60)

    assert Worker(queue).process_one() is True


def test_a_retry_that_waits_is_rescheduled_to_a_time(queue: JobQueue) -> None:
    job_id = queue.submit(job(delay=30))
    then = NOW + timedelta(days=1)

    assert queue.reschedule(job_id, run_at=then) is True
    assert queue.get_status(job_id)["retry_after"] == clock.to_text(then)
    assert queue.reschedule(job_id, run_at=NOW - timedelta(days=1)) is True
    assert queue.get_status(job_id)["retry_after"] is None


def test_a_job_whose_time_cannot_be_changed_is_refused_with_the_reason(
    queue: JobQueue, time: Clock
) -> None:
    due = queue.submit(job())
    done = queue.submit(job(priority=9))
    Worker(queue).process_one()
    short = queue.submit(job(expires_in=60))
    blocked = queue.submit(job(dependencies=[due]))
    ids = [due, done, short, blocked, "unknown"]
    now = queue.reschedule_many(ids, delay=0)
    later = queue.reschedule_many(ids, delay=60)

    assert (now.jobs, set(later.jobs)) == ({}, {due, blocked})
    assert now.refused == {
        due: "it is due already, and starts when a worker is free",
        done: "it is completed; submit a new job",
        short: "it is due already, and starts when a worker is free",
        blocked: "it waits for its parents, and has no later time",
        "unknown": "there is no such job",
    }
    assert later.refused[short] == "it expires at 2026-06-01 00:01:00+00:00, before that time"
    assert later.refused.keys() == {done, short, "unknown"}


def test_a_job_that_has_expired_and_was_not_ended_yet_is_refused(
    queue: JobQueue, time: Clock
) -> None:
    job_id = queue.submit(job(expires_in=60))
    time.forward(61)

    assert queue.reschedule_many([job_id], delay=0).refused == {
        job_id: "it expired at 2026-06-01 00:01:00+00:00; submit a new job"
    }


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({}, "give either run_at or delay"),
        ({"run_at": NOW, "delay": 5}, "give either run_at or delay"),
        ({"run_at": NOW.replace(tzinfo=None)}, "has no zone"),
        ({"delay": "soon"}, "is not a duration"),
        ({"delay": -5}, "delay is -5; give a number from 0"),
    ],
)
def test_a_new_time_that_cannot_be_is_refused(
    queue: JobQueue, times: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        queue.reschedule("any", **times)


def test_a_change_of_a_time_is_reported(queue: JobQueue, time: Clock) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    job_id = queue.submit(job())
    end = events.subscribe(lambda name, fields: heard.append((name, fields)))
    queue.reschedule(job_id, delay=60)
    end()

    assert heard == [
        ("job.rescheduled", {"job_id": job_id, "retry_after": clock.after(time.now, 60)})
    ]
