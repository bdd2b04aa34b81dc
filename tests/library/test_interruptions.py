"""A plain worker's job that is interrupted, or sees that it is to end, and returns all the same."""

from __future__ import annotations

import threading

import pytest
from support import jobs_to_interrupt
from support.waiting import wait_until

from gigq import Job, events

_LIMIT = 1.0
"""Seconds, in which each job reaches the place where it waits, also on a busy machine."""


@pytest.fixture
def seen():
    """The fields of each event about a job that returned after an interruption."""
    found = []

    def note(name, fields):
        if name == "job.returned_after_interruption":
            found.append(fields)

    unsubscribe = events.subscribe(note)
    yield found
    unsubscribe()


def last_execution(queue, job_id):
    return queue.get_status(job_id)["executions"][-1]


def test_a_swallowed_timeout_is_completed_and_marked(queue, worker, seen, tmp_path):
    params = {"path": str(tmp_path / "begun")}
    job_id = queue.submit(Job("swallow", jobs_to_interrupt.swallow, params, timeout=_LIMIT))
    worker.process_one()

    status = queue.get_status(job_id)
    assert (status["status"], status["result"]) == ("completed", "JobTimeout")
    (execution,) = status["executions"]
    assert (execution["status"], execution["interrupted_by"]) == ("completed", "timeout")
    assert execution["returned_after"] >= 0
    (event,) = seen
    assert (event["job_id"], event["interrupted_by"]) == (job_id, "timeout")
    assert event["returned_after"] == execution["returned_after"]


def test_a_timeout_that_ends_the_job_is_marked_as_well(queue, worker, seen, tmp_path):
    paths = {"begun": str(tmp_path / "begun"), "cleaned": str(tmp_path / "cleaned")}
    job_id = queue.submit(
        Job("end", jobs_to_interrupt.clean_up, paths, timeout=_LIMIT, max_attempts=1)
    )
    worker.process_one()

    execution = last_execution(queue, job_id)
    assert (execution["status"], execution["interrupted_by"]) == ("timeout", "timeout")
    assert jobs_to_interrupt.__file__ in execution["error"]
    assert "timer_interrupt.py" not in execution["error"]
    assert (tmp_path / "cleaned").read_text() == "JobTimeout"
    assert seen == []


@pytest.mark.parametrize(("outcome", "status"), [("returns", "completed"), ("raises", "failed")])
def test_a_job_that_passes_its_limit_with_an_alarm_of_its_own_is_marked(
    queue, worker, seen, outcome, status
):
    function = jobs_to_interrupt.outlast_with_an_alarm_of_its_own
    job_id = queue.submit(Job("alarm", function, {"outcome": outcome}, timeout=1, max_attempts=1))
    worker.process_one()

    execution = last_execution(queue, job_id)
    assert (execution["status"], execution["interrupted_by"]) == (status, "timeout")
    assert execution["returned_after"] >= 0
    assert [event["interrupted_by"] for event in seen] == ["timeout"] * (outcome == "returns")


def test_a_job_that_passes_its_limit_in_a_thread_is_marked(queue, worker, seen):
    job_id = queue.submit(Job("thread", jobs_to_interrupt.outlast, timeout=0.1, max_attempts=1))
    thread = threading.Thread(target=worker.process_one)
    thread.start()
    thread.join(30)

    execution = last_execution(queue, job_id)
    assert (execution["status"], execution["interrupted_by"]) == ("completed", "timeout")
    assert [event["interrupted_by"] for event in seen] == ["timeout"]


def test_a_job_that_sees_its_cancel_and_returns_is_completed_and_marked(queue, worker, path, seen):
    job_id = queue.submit(Job("cancelled", jobs_to_interrupt.return_when_cancelled, {"path": path}))
    worker.process_one()

    status = queue.get_status(job_id)
    assert (status["status"], status["result"]) == ("completed", "saved")
    assert last_execution(queue, job_id)["interrupted_by"] == "cancelled"
    assert [event["interrupted_by"] for event in seen] == ["cancelled"]


def test_a_job_that_sees_the_stop_and_returns_is_completed_and_marked(
    queue, worker, seen, tmp_path
):
    begun = tmp_path / "begun"
    job_id = queue.submit(
        Job("stopped", jobs_to_interrupt.return_when_stopped, {"begun": str(begun)})
    )
    thread = threading.Thread(target=worker.start)
    thread.start()
    wait_until(begun.exists)
    worker.stop()
    thread.join(30)

    assert queue.get_status(job_id)["status"] == "completed"
    assert last_execution(queue, job_id)["interrupted_by"] == "stopped"
    assert [event["interrupted_by"] for event in seen] == ["stopped"]


def test_a_job_that_was_left_alone_is_not_marked(queue, worker, seen):
    job_id = queue.submit(Job("pool", jobs_to_interrupt.use_pool, timeout=600))
    worker.process_one()

    execution = last_execution(queue, job_id)
    assert execution["status"] == "completed"
    assert (execution["interrupted_by"], execution["returned_after"]) == (None, None)
    assert seen == []


LEFT = {"return": 0, "0": 0, "3": 3, "words": 1, "raise": 1, "interrupt": -2}


@pytest.mark.parametrize("how", LEFT)
def test_a_forked_child_of_a_job_leaves_as_python_does(queue, worker, capfd, how):
    job_id = queue.submit(Job("fork", jobs_to_interrupt.fork_and_wait, {"how": how}))
    worker.process_one()

    printed, errors = capfd.readouterr()
    assert queue.get_result(job_id) == LEFT[how]
    assert f"child: {how}\n" in printed
    if how == "raise":
        assert errors.startswith("Traceback (most recent call last):\n")
        assert errors.endswith("\nValueError: the child's own\n")
        assert "execution.py" not in errors
    elif how == "words":
        assert errors == "last words\n"
    elif how == "interrupt":
        assert errors.endswith("\nKeyboardInterrupt\n")
    else:
        assert errors == ""
