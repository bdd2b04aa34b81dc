"""A failure is visible: in the events of a worker and of the queue, and in what is stored."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from support.tree import ROOT
from support.waiting import wait_until

from gigq import Job, Worker, events, task

FACTS = ("error_type", "error_message", "error_file", "error_line", "error_traceback")


def parse() -> None:
    json.loads("{oops")  # where it fails


def fine() -> int:
    return 1


def sleep_too_long() -> None:
    threading.Event().wait(30)


def fail_with(text: str) -> None:
    raise ValueError(text)


@task
def break_in_a_task(text: str) -> None:
    fail_with(text)


LINE = next(
    number
    for number, line in enumerate(
        (ROOT / "tests" / "library" / "test_failures.py").read_text().splitlines(), 1
    )
    if "# where it fails" in line
)


def fields_of(reported, name):
    return [fields for event, fields in reported if event == name]


def test_a_failed_attempt_says_why_and_where_how_long_it_took_and_when_the_next_one_is(
    queue, worker, reported
):
    job_id = queue.submit(Job("parser", parse, max_attempts=2, retry_delay=600))
    worker.process_one()
    (event,) = fields_of(reported, "job.retrying")

    assert (event["job_id"], event["job"]) == (job_id, "parser")
    assert (event["attempt"], event["max_attempts"], event["cause"]) == (1, 2, "error")
    assert event["error_type"] == "json.decoder.JSONDecodeError"
    assert event["error_message"].startswith("Expecting property name")
    assert (event["error_file"], event["error_line"]) == (__file__, LINE)
    assert event["error_traceback"].startswith("Traceback (most recent call last):\n")
    assert 0 < event["duration"] < 600
    assert event["retry_after"] == queue.get_status(job_id)["retry_after"] is not None


def test_the_traceback_of_a_task_begins_with_its_own_code(queue, worker, reported):
    job_id = break_in_a_task.submit(queue, text="broken")
    worker.process_one()
    found = queue.get_status(job_id)
    (event,) = fields_of(reported, "job.retrying")

    first, *_ = [line for line in found["error_traceback"].splitlines() if "File " in line]
    assert first.endswith("in break_in_a_task")
    assert event["error_traceback"] == found["error_traceback"]
    assert found["error"].endswith(f"{found['error_traceback']}\n")


def test_the_last_attempt_says_why_too(queue, worker, reported):
    queue.submit(Job("parser", parse, max_attempts=1))
    worker.process_one()
    (event,) = fields_of(reported, "job.failed")

    assert event["error_type"] == "json.decoder.JSONDecodeError"
    assert (event["error_file"], event["error_line"]) == (__file__, LINE)
    assert event["retry_after"] is None


def test_an_overrun_says_where_it_was_interrupted(queue, worker, reported):
    queue.submit(Job("sleeper", sleep_too_long, max_attempts=1, timeout=0.5))
    worker.process_one()
    (event,) = fields_of(reported, "job.timeout")

    assert (event["error_type"], event["cause"]) == ("gigq.errors.JobTimeout", "timeout")
    assert event["error_file"] == __file__
    assert "threading.Event().wait(30)" in event["error_traceback"]


def test_a_success_says_how_long_it_took_and_nothing_of_an_error(queue, worker, reported):
    queue.submit(Job("fine", fine))
    worker.process_one()
    (event,) = fields_of(reported, "job.completed")

    assert event["duration"] > 0
    assert not set(FACTS) & event.keys()


def test_a_message_of_any_length_is_bounded_in_the_event_and_whole_in_the_store(
    queue, worker, reported
):
    text = "x" * 10_000
    job_id = queue.submit(Job("long", fail_with, {"text": text}, max_attempts=1))
    worker.process_one()
    (event,) = fields_of(reported, "job.failed")

    assert len(event["error_message"]) == 500
    assert queue.get_status(job_id)["error_message"] == text


def test_jobs_that_fail_by_a_parent_are_reported_with_their_names_and_that_of_the_parent(
    queue, worker, reported
):
    parent = queue.submit(Job("parent", parse, max_attempts=1))
    child = queue.submit(Job("child", fine, dependencies=[parent]))
    grandchild = queue.submit(Job("grandchild", fine, dependencies=[child]))
    worker.process_one()
    _, *by_parent = fields_of(reported, "job.failed")

    assert by_parent == [
        {
            "job_id": child, "job": "child", "cause": "parent",
            "parent_id": parent, "parent": "parent", "parent_status": "failed",
        },
        {
            "job_id": grandchild, "job": "grandchild", "cause": "parent",
            "parent_id": child, "parent": "child", "parent_status": "failed",
        },
    ]  # fmt: skip


def test_so_are_those_of_a_job_that_is_cancelled(queue, reported):
    parent = queue.submit(Job("parent", fine))
    child = queue.submit(Job("child", fine, dependencies=[parent]))
    queue.cancel(parent)
    (event,) = fields_of(reported, "job.failed")

    assert (event["job_id"], event["parent"]) == (child, "parent")
    assert event["parent_status"] == "cancelled"


def test_so_is_a_job_that_is_submitted_after_its_parent_has_failed(queue, reported):
    parent = queue.submit(Job("parent", fine))
    queue.cancel(parent)
    child = Job("child", fine, dependencies=[parent])
    grandchild = Job("grandchild", fine, dependencies=[child.id])
    queue.submit_many([child, grandchild])

    assert [(event["job"], event["parent"]) for event in fields_of(reported, "job.failed")] == [
        ("child", "parent"),
        ("grandchild", "child"),
    ]


def test_a_job_of_a_worker_that_is_gone_is_reported_as_rescued_and_with_what_became_of_it(
    queue, path, reported
):
    import multiprocessing

    job_id = queue.submit(Job("sleeper", sleep_too_long, max_attempts=1))
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=work_once, args=(path,))
    process.start()
    wait_until(lambda: queue.get_status(job_id)["status"] == "running", 30)
    process.kill()
    process.join()
    Worker(path).process_one()
    (failed,) = fields_of(reported, "job.failed")

    assert len(fields_of(reported, "job.rescued")) == 1
    assert (failed["job"], failed["cause"], failed["attempt"]) == ("sleeper", "lost", 1)
    assert "ended while it ran this job" in failed["error_message"]


def work_once(path: str) -> None:
    Worker(path).process_one()


def test_status_and_list_carry_the_parts_of_the_error_beside_it(queue, worker):
    job_id = queue.submit(Job("parser", parse, max_attempts=1))
    worker.process_one()
    job = queue.get_status(job_id)
    (listed,) = queue.list_jobs()

    for row in (job, listed, *job["executions"]):
        assert row["error_type"] == "json.decoder.JSONDecodeError"
        assert row["error_message"].startswith("Expecting property name")
        assert row["error_traceback"].startswith("Traceback (most recent call last):\n")
        assert row["error"].startswith("json.decoder.JSONDecodeError: Expecting property name")


def test_without_an_error_its_parts_are_none(queue, worker):
    job_id = queue.submit(Job("fine", fine))
    worker.process_one()
    job = queue.get_status(job_id)

    for row in (job, *queue.list_jobs(), *job["executions"]):
        assert [row["error_type"], row["error_message"], row["error_traceback"]] == [None] * 3


class Place:
    """A place for events."""

    def __init__(self, least: int) -> None:
        self.least, self.seen = least, []

    def takes(self, level: int) -> bool:
        return level >= self.least

    def write(self, name, level, source, fields) -> None:
        self.seen.append((name, level, source, fields))


@pytest.fixture
def place():
    made = Place(logging.INFO)
    events.send_to(made)
    yield made
    events.send_to(None)


def test_events_that_are_sent_to_a_place_go_to_no_logger(place, caplog, queue, worker):
    with caplog.at_level(logging.DEBUG, logger="gigq"):
        queue.submit(Job("parser", parse, max_attempts=1))
        worker.process_one()

    assert [name for name, *_ in place.seen] == ["job.submitted", "job.failed"]
    assert place.seen[-1][1:3] == (logging.ERROR, "gigq.worker.w")
    assert caplog.records == []


def test_a_place_is_asked_whether_it_takes_a_level_and_subscribers_get_all(place, reported):
    assert events.heard(logging.DEBUG)  # there is a subscriber
    events.emit("job.started", level=logging.DEBUG, job_id="a")

    assert place.seen == []
    assert reported == [("job.started", {"job_id": "a"})]


def test_without_subscribers_the_place_alone_decides_what_is_heard(place):
    logging.disable(logging.CRITICAL)
    try:
        assert events.heard(logging.INFO)
        assert not events.heard(logging.DEBUG)
    finally:
        logging.disable(logging.NOTSET)


def test_a_subscriber_that_fails_is_reported_there_as_well(place):
    end = events.subscribe(lambda _name, _fields: fail_with("broken"))
    events.emit("job.started", job_id="a")
    end()
    failed, started = place.seen

    assert failed[0] == "subscriber.failed"
    assert failed[3]["at"] == "job.started"
    assert "ValueError: broken" in failed[3]["error_traceback"]
    assert started[0] == "job.started"
