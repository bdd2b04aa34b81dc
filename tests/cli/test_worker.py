"""`gigq worker`"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.waiting import wait_until


def test_once_runs_one_job(shell):
    shell.submit()
    shell.submit()

    assert shell.out("worker", "--once") == "Processed one job.\n"
    assert shell.json("stats")["completed"] == 1


def test_once_without_a_job_is_no_failure(shell):
    assert shell.out("worker", "--once") == "No jobs available to process.\n"


def test_a_worker_takes_only_jobs_of_its_queues(shell):
    shell.submit("shop.resize", "--queue", "mail")

    assert shell.out("worker", "--once", "--queue", "a", "--queue", "b").startswith("No jobs")
    assert shell.out("worker", "--once", "--queue", "a", "--queue", "mail").startswith("Processed")


def test_a_worker_is_named_by_option_or_variable(shell):
    first, second = shell.submit(), shell.submit()
    shell.out("worker", "--once", "--worker-id", "by-option", GIGQ_WORKER_ID="by-variable")
    shell.out("worker", "--once", GIGQ_WORKER_ID="by-variable")

    names = [shell.json("status", j)["executions"][0]["worker_id"] for j in (first, second)]
    assert names == ["by-option", "by-variable"]


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_running_worker_leaves_when_it_is_asked_to(shell, asked, threads):
    job_id = shell.submit("shop.charge", "-p", "order=7", "--max-attempts", "1")
    command = [sys.executable, "-m", "gigq", "worker", "--worker-id", "w", "--concurrency", threads]
    with subprocess.Popen(
        command, cwd=shell.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        wait_until(lambda: shell.json("status", job_id)["status"] == "failed")
        worker.send_signal(asked)
        printed, logged = worker.communicate()

    assert worker.returncode == 0
    assert printed == "Starting worker w...\nWorker stopped by user.\n"
    assert f"job.failed job_id={job_id!r}" in logged


def test_a_polling_interval_in_the_environment_is_checked_like_the_option(shell):
    done = shell.run("worker", "--once", GIGQ_POLLING_INTERVAL="soon")

    assert done.returncode == 2
    assert "the variable GIGQ_POLLING_INTERVAL: 'soon' is not a number" in done.stderr
    assert shell.run("worker", "--once", GIGQ_POLLING_INTERVAL="0.5").returncode == 0


def test_the_largest_result_is_an_option(shell):
    small, large = shell.submit(), shell.submit()
    shell.out("worker", "--once", "--max-result-size", "10B")
    shell.out("worker", "--once", "--max-result-size", "4MiB")
    first, second = shell.json("status", small), shell.json("status", large)

    assert (first["status"], first["attempts"]) == ("failed", 1)
    assert "over the limit of 10 bytes" in first["error"]
    assert second["result"] == "cat.jpg: 100 pixels wide"


@pytest.mark.parametrize("wrong", ["0", "much", "-1MiB", "nan"])
def test_a_largest_result_that_is_no_size_is_a_usage_error(shell, wrong):
    done = shell.run("worker", "--once", f"--max-result-size={wrong}")

    assert done.returncode == 2
    assert "--max-result-size" in done.stderr
