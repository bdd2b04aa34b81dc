"""`gigq worker` that is signalled: once it stops, twice it interrupts, three times it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import jobs_to_interrupt
from support.waiting import wait_until

from gigq import Job, JobQueue, close_connections

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parent.parent
STOPPING = (
    "Stopping: a running job may finish. A second signal interrupts it, a third ends this process."
)
INTERRUPTING = (
    "Second signal: a job in the main thread is interrupted. One more ends this process at once."
)
NOTHING = (
    "No job was interrupted: no job runs in the main thread, or the job was interrupted before."
)


@pytest.fixture
def queue(tmp_path):
    yield JobQueue(str(tmp_path / "gigq.db"))
    close_connections()


@contextmanager
def running_worker(folder, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "gigq", "worker", "--app-dir", str(TESTS), *options]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log) as worker,
    ):
        try:
            yield worker
        finally:
            worker.kill()


def signalled(worker, folder, number, line):
    """Signal a worker, and wait until it has said something about it."""
    worker.send_signal(number)
    wait_until(lambda: line in (folder / "log").read_text().splitlines(), why=line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_interrupts_the_job_and_its_attempt_is_given_back(queue, tmp_path, number):
    begun, cleaned = tmp_path / "begun", tmp_path / "cleaned"
    params = {"begun": str(begun), "cleaned": str(cleaned)}
    job_id = queue.submit(Job("wait", jobs_to_interrupt.clean_up, params))
    with running_worker(tmp_path) as worker:
        wait_until(begun.exists)
        signalled(worker, tmp_path, number, STOPPING)
        still_there = not cleaned.exists()
        signalled(worker, tmp_path, number, INTERRUPTING)
        ended = worker.wait(30)

    assert (still_there, ended) == (True, 0)
    assert cleaned.read_text() == "JobStopped"
    status = queue.get_status(job_id)
    assert (status["status"], status["attempts"]) == ("pending", 0)
    (execution,) = status["executions"]
    assert (execution["cause"], execution["interrupted_by"]) == ("stopped", "stopped")


def test_a_swallowed_stop_is_completed_and_marked(queue, tmp_path):
    begun = tmp_path / "begun"
    job_id = queue.submit(Job("swallow", jobs_to_interrupt.swallow, {"path": str(begun)}))
    with running_worker(tmp_path) as worker:
        wait_until(begun.exists)
        signalled(worker, tmp_path, signal.SIGTERM, STOPPING)
        signalled(worker, tmp_path, signal.SIGTERM, INTERRUPTING)
        ended = worker.wait(30)

    assert ended == 0
    status = queue.get_status(job_id)
    assert (status["status"], status["result"]) == ("completed", "JobStopped")
    assert status["executions"][0]["interrupted_by"] == "stopped"
    assert "job.returned_after_interruption" in (tmp_path / "log").read_text()


def test_a_third_signal_ends_the_process_whatever_the_job_does(queue, tmp_path):
    begun, held = tmp_path / "begun", tmp_path / "held"
    params = {"begun": str(begun), "held": str(held)}
    queue.submit(Job("hold", jobs_to_interrupt.swallow_and_hold, params))
    with running_worker(tmp_path) as worker:
        wait_until(begun.exists)
        signalled(worker, tmp_path, signal.SIGTERM, STOPPING)
        signalled(worker, tmp_path, signal.SIGTERM, INTERRUPTING)
        wait_until(held.exists)
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(30) == -signal.SIGTERM


def test_jobs_in_threads_are_not_interrupted_and_the_worker_says_so(queue, tmp_path):
    begun = tmp_path / "begun"
    queue.submit(Job("swallow", jobs_to_interrupt.swallow, {"path": str(begun)}))
    with running_worker(tmp_path, "--concurrency", "2") as worker:
        wait_until(begun.exists)
        signalled(worker, tmp_path, signal.SIGTERM, STOPPING)
        signalled(worker, tmp_path, signal.SIGTERM, NOTHING)
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(30) == -signal.SIGTERM


def test_a_pool_of_processes_in_a_job_can_be_terminated(queue, tmp_path):
    job_id = queue.submit(Job("pool", jobs_to_interrupt.use_pool, timeout=30))
    with running_worker(tmp_path) as worker:
        wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(30) == 0
