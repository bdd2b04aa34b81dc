"""`gigq worker`"""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support.waiting import wait_until


@pytest.mark.each_database
def test_once_runs_one_job(shell):
    shell.submit()
    shell.submit()

    assert shell.out("worker", "--once") == "Processed one job.\n"
    assert shell.json("stats")["completed"] == 1


def test_a_worker_begins_no_queue_where_one_was_lost_unless_it_is_asked_to(shell):
    shell.out("--db", "jobs.db", "worker", "--once")
    (shell.folder / "jobs.db").unlink()

    refused = shell.run("--db", "jobs.db", "worker", "--once")

    assert refused.returncode == 69
    assert "held a queue and is missing" in refused.stderr
    assert not (shell.folder / "jobs.db").exists()
    assert shell.out("--db", "jobs.db", "worker", "--once", "--init").startswith("No jobs")


@pytest.mark.parametrize("command", [("worker", "--once"), ("submit", "shop.greet", "--name", "a")])
def test_the_tables_of_another_program_get_none_beside_them_unless_asked(shell, command):
    with closing(sqlite3.connect(shell.folder / "other.db")) as other:
        other.execute("CREATE TABLE customers (name TEXT)")

    refused = shell.run("--db", "other.db", *command)

    assert refused.returncode
    assert "tables of another program (customers)" in refused.stderr
    assert shell.out("--db", "other.db", "worker", "--once", "--init").startswith("No jobs")


@pytest.mark.each_database
def test_once_without_a_job_is_no_failure(shell):
    assert shell.out("worker", "--once") == "No jobs available to process.\n"


@pytest.mark.each_database
def test_a_worker_takes_only_jobs_of_its_queues(shell):
    shell.submit("shop.resize", "--queue", "mail")

    assert shell.out("worker", "--once", "--queue", "a", "--queue", "b").startswith("No jobs")
    assert shell.out("worker", "--once", "--queue", "a", "--queue", "mail").startswith("Processed")


@pytest.mark.each_database
def test_a_worker_leaves_queues_out(shell):
    shell.submit("shop.resize", "--queue", "mail")
    rest = ("worker", "--once", "--queue", "*", "--queue")

    assert shell.out(*rest, "!mail").startswith("No jobs")
    assert shell.out(*rest, "!other").startswith("Processed")


@pytest.mark.parametrize(
    ("queues", "why"),
    [
        (("*", "mail"), '"*" is every queue, so "mail" adds nothing'),
        (("!mail",), '"!mail" only leaves out; add "*"'),
        (("mail", "mail"), '"mail" is listed twice'),
    ],
)
def test_queues_that_contradict_each_other_are_a_mistake(shell, queues, why):
    done = shell.run("worker", "--once", *(part for name in queues for part in ("--queue", name)))

    assert done.returncode == 2
    assert done.stderr.startswith(f"gigq: --queue: {why}")


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
    assert f"job.failed a job ({job_id}), attempt 1 of 1" in logged


def test_a_polling_interval_in_the_environment_is_checked_like_the_option(shell):
    done = shell.run("worker", "--once", GIGQ_POLLING_INTERVAL="soon")

    assert done.returncode == 2
    assert "the variable GIGQ_POLLING_INTERVAL: 'soon' is not a number" in done.stderr
    assert shell.run("worker", "--once", GIGQ_POLLING_INTERVAL="0.5").returncode == 0


@pytest.mark.each_database
def test_the_largest_result_is_an_option(shell):
    small, large = shell.submit(), shell.submit()
    shell.run("worker", "--once", "--max-result-size", "10B")
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


NOISY = """
import logging.config
logging.config.dictConfig({
    "version": 1, "handlers": {"own": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["own"], "level": "DEBUG"},
})


def boom():
    logging.getLogger("shop").warning("from the application")
    raise ValueError("no \\x1b[31m luck\\nat all")
"""


@pytest.mark.each_database
def test_once_reports_a_failed_job_on_standard_error_and_still_exits_with_zero(shell):
    job_id = shell.submit("shop.charge", "-p", "order=7", "--max-attempts", "1")
    done = shell.run("worker", "--once")
    first, *below = done.stderr.splitlines()

    assert (done.returncode, done.stdout) == (0, "Processed one job.\n")
    assert f"job.failed a job ({job_id}), attempt 1 of 1, " in first
    assert f": ValueError: order 7 has no card (at {shell.folder / 'shop.py'}:10)" in first
    assert below[0] == "    Traceback (most recent call last):"
    assert below[-1] == "    ValueError: order 7 has no card"


def test_once_is_silent_about_a_job_that_did_well(shell):
    shell.submit()

    assert shell.run("worker", "--once").stderr == ""


def test_an_attempt_that_is_followed_by_another_says_when(shell):
    shell.submit("shop.charge", "-p", "order=7", "--retry-delay", "600")
    shell.submit("shop.charge", "-p", "order=8")
    later, at_once = (shell.run("worker", "--once").stderr.splitlines()[0] for _ in range(2))

    assert re.search(r"; next attempt at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00$", later)
    assert at_once.endswith("; next attempt at once")


@pytest.mark.each_database
def test_a_job_that_its_parent_failed_is_reported_with_both(shell):
    parent = shell.submit("shop.charge", "-p", "order=7", "--max-attempts", "1")
    child = shell.submit("shop.resize", "--depends-on", parent)
    lines = shell.run("worker", "--once").stderr.splitlines()

    assert lines[-1].endswith(
        f"job.failed a job ({child}): its parent a job ({parent}) ended as failed"
    )


def test_the_applications_logging_neither_silences_nor_repeats_a_line(shell):
    (shell.folder / "noisy.py").write_text(NOISY)
    shell.submit("noisy.boom", "--max-attempts", "1")
    shell.submit("noisy.boom", "--max-attempts", "1")
    logged = [shell.run("worker", "--once").stderr for _ in range(2)]

    for text in logged:
        assert text.startswith("from the application\n")
        assert text.count("job.failed") == 1
        assert r"ValueError: no \x1b[31m luck (at " in text
        assert "\x1b" not in text


def test_status_says_that_no_worker_serves_the_queue_of_a_job(shell):
    job_id = shell.submit("shop.resize", "--queue", "etl")
    command = [sys.executable, "-m", "gigq", "worker", "--queue", "mail"]
    with subprocess.Popen(
        command, cwd=shell.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            wait_until(
                lambda: (
                    shell.json("status", job_id)["why_waiting"]
                    == "its queue 'etl' is served by no worker (mail)"
                ),
                30,
            )
        finally:
            worker.terminate()


def test_a_job_that_changes_the_working_directory_is_recorded_in_the_file_of_the_worker(shell):
    (shell.folder / "elsewhere").mkdir()
    shell.out("--db", "jobs.db", "submit", "os.chdir", "--name", "a", "-p", "path=elsewhere")
    shell.out("--db", "jobs.db", "submit", "os.getpid", "--name", "b")
    worker = subprocess.Popen(
        [sys.executable, "-m", "gigq", "worker", "--db", "jobs.db"],
        cwd=shell.folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: shell.json("--db", "jobs.db", "stats")["completed"] == 2)
    finally:
        worker.terminate()

    assert worker.wait(20) == 0
    assert list((shell.folder / "elsewhere").iterdir()) == []
