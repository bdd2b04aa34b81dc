"""The lines in the log about jobs that expire: one for each of few, and one for many together."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Worker, events
from gigq.model import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.set_clock import Clock


def work() -> None:
    """Do nothing."""


@pytest.fixture
def queue(tmp_path: Path, time: Clock) -> Iterator[JobQueue]:
    with JobQueue(tmp_path / "queue.db") as opened:
        yield opened


def submit(queue: JobQueue, count: int) -> list[str]:
    return queue.submit_many([Job(f"job {n}", work, expires_in=60) for n in range(count)])


def lines(caplog: pytest.LogCaptureFixture, level: int) -> Counter[str]:
    return Counter(
        record.event  # type: ignore[attr-defined]
        for record in caplog.records
        if record.levelno >= level and hasattr(record, "event")
    )


def expire(queue: JobQueue, time: Clock) -> None:
    time.now = clock.after(time.now, 60)
    Worker(queue.db_path).process_one()


def test_each_of_few_jobs_has_a_line(
    queue: JobQueue, time: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gigq")
    submit(queue, 10)
    caplog.clear()
    expire(queue, time)

    assert lines(caplog, logging.WARNING) == {"job.cancelled": 10}


def test_many_jobs_have_one_line_and_subscribers_hear_of_each(
    queue: JobQueue, time: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gigq")
    seen: list[tuple[str, dict[str, Any]]] = []
    ids = submit(queue, 11)
    caplog.clear()
    unsubscribe = events.subscribe(lambda name, fields: seen.append((name, fields)))
    try:
        expire(queue, time)
    finally:
        unsubscribe()

    assert lines(caplog, logging.WARNING) == {"jobs.expired": 1}
    assert lines(caplog, logging.DEBUG)["job.cancelled"] == 11
    assert {fields["job_id"] for name, fields in seen if name == "job.cancelled"} == set(ids)
    (total,) = [fields for name, fields in seen if name == "jobs.expired"]
    assert (total["count"], total["failed"], total["dependents"]) == (11, 0, 0)
    assert set(total["first"]) < set(ids)


def test_the_line_of_many_jobs_counts_those_that_failed_and_their_dependents(
    queue: JobQueue, time: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gigq")
    parents = submit(queue, 11)
    queue.submit(Job("child", work, dependencies=[parents[0]]))
    with queue._get_connection() as connection:
        connection.execute("UPDATE jobs SET attempts = 1 WHERE id = ?", (parents[1],))
    caplog.clear()
    expire(queue, time)

    assert lines(caplog, logging.WARNING) == {"jobs.expired": 1}
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert {"count": 11, "failed": 1, "dependents": 1}.items() <= line.fields.items()  # type: ignore[attr-defined]
