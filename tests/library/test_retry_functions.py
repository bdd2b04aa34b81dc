"""Functions that compute the delay of a retry and misbehave: the job's own error is kept."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
from support import retry_functions

from gigq import Job, events
from gigq.execution import timer_interrupt

NAME = "support.retry_functions"


def boom() -> None:
    raise ValueError("the job's own error")


def overrun() -> None:
    threading.Event().wait(600)


def run(queue: Any, worker: Any, function: Any, **options: Any) -> dict[str, Any]:
    """Run a job once, and return its row."""
    job_id = queue.submit(Job("a", function, **options))
    worker.process_one()
    found: dict[str, Any] = queue.get_status(job_id)
    return found


def test_a_function_that_hangs_is_interrupted_and_the_job_is_tried_again(
    queue: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer_interrupt, "LONGEST_RETRY_FUNCTION", 0.05)
    found = run(queue, worker, boom, retry=retry_functions.hang)

    (execution,) = found["executions"]
    assert (found["status"], execution["status"]) == ("pending", "failed")
    assert execution["interrupted_by"] is None
    assert found["error"].startswith("ValueError: the job's own error")
    assert f"The retry function {NAME}:hang failed, so the usual delay is used" in found["error"]
    assert "ran longer than 0.05 s" in found["error"]


def test_the_jobs_own_interruption_stays_the_recorded_one(
    queue: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer_interrupt, "LONGEST_RETRY_FUNCTION", 0.05)
    found = run(queue, worker, overrun, timeout=0.05, retry=retry_functions.hang)

    (execution,) = found["executions"]
    assert (execution["status"], execution["interrupted_by"]) == ("timeout", "timeout")
    assert f"The retry function {NAME}:hang failed" in found["error"]


def test_a_worker_that_stops_at_once_interrupts_the_function(queue: Any, worker: Any) -> None:
    job_id = queue.submit(Job("a", boom, retry=f"{__name__}:stop_the_worker"))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker.start()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    found = queue.get_status(job_id)
    assert (found["status"], found["executions"][0]["interrupted_by"]) == ("pending", "stopped")
    assert found["error"].startswith("ValueError: the job's own error")
    assert f"The retry function {__name__}:stop_the_worker failed" in found["error"]


def stop_the_worker(attempt: int, error: BaseException) -> float:
    """Send two SIGTERM to the worker, as an impatient operator does, and wait for ever."""
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(600)
    return attempt


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leave", "SystemExit: 1"),
        ("press", "KeyboardInterrupt."),
        ("fail_without_text", "UnreadableError: <its text cannot be shown: RuntimeError>"),
    ],
)
def test_the_function_is_named_whatever_it_raises(
    queue: Any, worker: Any, name: str, said: str
) -> None:
    found = run(queue, worker, boom, retry=f"{NAME}:{name}")

    assert found["status"] == "pending"
    assert found["error"].startswith("ValueError: the job's own error")
    assert (
        f"The retry function {NAME}:{name} failed, so the usual delay is used: {said}"
        in (found["error"])
    )


def test_the_event_of_a_retry_says_that_its_function_failed(queue: Any, worker: Any) -> None:
    seen: dict[str, Any] = {}
    unsubscribe = events.subscribe(lambda name, fields: seen.update({name: fields.get("reason")}))
    try:
        run(queue, worker, boom, retry=f"{NAME}:leave", max_attempts=2)
        worker.process_one()
    finally:
        unsubscribe()

    assert seen[events.JOB_RETRYING] == (
        f"the retry function {NAME}:leave failed, so the usual delay is used: SystemExit: 1"
    )
    assert seen[events.JOB_FAILED] is None  # no attempt was left


def test_a_process_that_the_function_forks_ends_without_settling_the_job(
    queue: Any, worker: Any
) -> None:
    pid = os.getpid()
    found = run(queue, worker, boom, retry=retry_functions.fork)

    assert os.getpid() == pid
    assert (found["status"], len(found["executions"])) == ("pending", 1)
    assert found["retry_after"] > found["executions"][0]["completed_at"]


class SlowError(Exception):
    """An exception whose text never comes."""

    def __str__(self) -> str:
        threading.Event().wait(600)
        return "late"


def raise_slowly() -> None:
    raise SlowError


def test_an_exception_whose_text_never_comes_blocks_no_worker(
    queue: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer_interrupt, "LONGEST_RETRY_FUNCTION", 0.05)
    found = run(queue, worker, raise_slowly, timeout=60)

    assert found["status"] == "pending"
    assert "SlowError" in found["error"]
    assert "in raise_slowly" in found["error"]
