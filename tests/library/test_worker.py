"""What the plain worker does with jobs, good and bad."""

import os
import signal
import threading
from pathlib import Path

import pytest
from support import jobs_to_run
from support.waiting import wait_until

from gigq import Job, Worker
from gigq.model.claim import Claimant
from gigq.store.sqlite.connections import open_connection
from gigq.store.verbs import settle_and_claim


def submit(queue, function, /, **options):
    return queue.submit(Job("job", function, **options))


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (jobs_to_run.fail, "ValueError: no luck\n\nTraceback"),
        (jobs_to_run.exit_process, "SystemExit: 0"),
        (jobs_to_run.press_ctrl_c, "KeyboardInterrupt"),
        (jobs_to_run.recurse, "RecursionError"),
        (jobs_to_run.run_out_of_memory, "MemoryError"),
        (jobs_to_run.give_a_set, "gigq.errors.NotJson: job 'job': the result: a set is not JSON"),
    ],
)
def test_whatever_a_job_raises_the_attempt_fails_and_the_worker_goes_on(
    queue, worker, function, error
):
    bad = submit(queue, function, max_attempts=1)
    good = submit(queue, jobs_to_run.nothing)

    assert worker.work_off(lambda: True) == 2
    assert queue.get_status(bad)["status"] == "failed"
    assert queue.get_status(bad)["error"].startswith(error)
    assert queue.get_status(good)["status"] == "completed"


def test_a_result_over_the_limit_fails_the_attempt_with_both_sizes(queue, worker):
    worker.max_result_size = 1000
    job_id = submit(queue, jobs_to_run.give_text, params={"length": 2000}, max_attempts=1)
    worker.process_one()

    assert "2,002 bytes of JSON, over the limit of 1,000" in queue.get_status(job_id)["error"]


def test_a_job_is_never_started_more_often_than_its_attempts(queue, worker, tmp_path):
    ledger = tmp_path / "ledger"
    params = {"path": str(ledger), "successes_after": 9}
    job_id = submit(queue, jobs_to_run.fail_until, params=params, max_attempts=3)
    worker.work_off(lambda: True)

    assert len(ledger.read_text().splitlines()) == 3
    assert queue.get_status(job_id)["status"] == "failed"
    assert [e["attempt"] for e in queue.get_status(job_id)["executions"]] == [1, 2, 3]


def test_a_delayed_attempt_waits_for_its_time_and_keeps_the_last_error(queue, worker):
    job_id = submit(queue, jobs_to_run.fail, max_attempts=2, retry_delay=3600)

    assert worker.work_off(lambda: True) == 1
    status = queue.get_status(job_id)
    assert status["status"] == "pending"
    assert status["retry_after"] > status["updated_at"]
    assert status["error"].startswith("ValueError: no luck")


def test_an_overrunning_job_is_interrupted_and_its_finally_runs(queue, worker, tmp_path):
    cleaned = tmp_path / "cleaned"
    job_id = submit(
        queue, jobs_to_run.overrun, params={"cleanup_path": str(cleaned)}, timeout=0.1,
        max_attempts=2,
    )  # fmt: skip

    assert worker.work_off(lambda: True) == 2
    status = queue.get_status(job_id)
    assert (status["status"], status["attempts"], status["cause"]) == ("timeout", 2, "timeout")
    assert status["error"].startswith("gigq.errors.JobTimeout: Job timed out after 0.1 seconds")
    assert [e["status"] for e in status["executions"]] == ["timeout", "timeout"]
    assert cleaned.read_text() == "cleaned up\n" * 2


def test_except_exception_in_a_job_does_not_swallow_its_timeout(queue, worker, tmp_path):
    path = str(tmp_path / "swallowed")
    job_id = submit(
        queue, jobs_to_run.swallow_exceptions, params={"path": path}, timeout=0.1, max_attempts=1
    )
    worker.process_one()

    assert queue.get_status(job_id)["status"] == "timeout"
    assert not Path(path).exists()


def back_date(path, seconds=3600):
    """Make every open execution look as if it had begun so long ago."""
    open_connection(path).execute(
        "UPDATE job_executions SET started_at ="
        " strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now', ?) WHERE status = 'running'",
        (f"-{seconds} seconds",),
    )


def run_in_thread(worker):
    thread = threading.Thread(target=worker.process_one)
    thread.start()
    return thread


def test_a_job_that_cannot_be_interrupted_is_marked_and_its_late_finish_changes_nothing(
    queue, path, worker, tmp_path, reported
):
    own, other = str(tmp_path / "own"), str(tmp_path / "other")
    params = {"own": own, "other": other}
    job_id = submit(queue, jobs_to_run.meet, params=params, max_attempts=1)
    thread = run_in_thread(worker)
    wait_until(Path(own).exists)
    back_date(path)
    Worker(path).process_one()
    marked = queue.get_status(job_id)
    Path(other).touch()
    thread.join()

    assert (marked["status"], marked["error"]) == ("timeout", "Job timed out after 300 seconds")
    assert queue.get_status(job_id) == marked
    assert ("job.superseded", job_id) in [(name, fields.get("job_id")) for name, fields in reported]


def test_executions_of_a_daemon_are_left_to_it(queue, path, worker):
    job_id = submit(queue, jobs_to_run.nothing)
    settle_and_claim.claim(queue._database, Claimant("daemon's", "gigqd:123"), "e0")
    back_date(path)

    assert worker.process_one() is False
    assert queue.get_status(job_id)["status"] == "running"


def test_a_job_whose_process_died_is_taken_back_and_run_again(queue, path, worker, tmp_path):
    ledger = tmp_path / "ledger"
    job_id = submit(queue, jobs_to_run.vanish, max_attempts=1)
    again = submit(queue, jobs_to_run.note, params={"path": str(ledger)})
    child = os.fork()
    if child == 0:
        try:
            Worker(path, worker_id="doomed").process_one()
        finally:
            os._exit(1)
    os.waitpid(child, 0)

    assert queue.get_status(job_id)["status"] == "running"
    assert worker.work_off(lambda: True) == 1
    worker.process_one()
    status = queue.get_status(job_id)
    assert (status["status"], status["cause"]) == ("failed", "lost")
    assert status["error"] == "the process of worker doomed ended while it ran this job"
    assert queue.get_status(again)["status"] == "completed"


def test_a_job_that_forks_and_returns_twice_is_settled_once(queue, worker, tmp_path):
    ledger = tmp_path / "ledger"
    job_id = submit(queue, jobs_to_run.fork_and_return, params={"path": str(ledger)})
    pid = os.getpid()
    worker.process_one()

    assert os.getpid() == pid
    assert queue.get_result(job_id) == "parent"
    assert ledger.read_text() == "child\n"


def test_ctrl_c_during_process_one_gives_the_attempt_back_and_reaches_the_caller(queue, worker):
    job_id = submit(queue, jobs_to_run.kill_itself, params={"name": "SIGINT"})

    with pytest.raises(KeyboardInterrupt):
        worker.process_one()
    status = queue.get_status(job_id)
    assert (status["status"], status["attempts"]) == ("pending", 0)
    assert worker.current_job_id is None


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_a_started_worker_lets_the_job_finish(queue, worker, name):
    job_id = submit(queue, jobs_to_run.kill_itself, params={"name": name})
    waiting = submit(queue, jobs_to_run.nothing)
    before = signal.getsignal(signal.SIGTERM)
    worker.start()

    assert queue.get_status(job_id)["status"] == "completed"
    assert queue.get_status(waiting)["status"] == "pending"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_worker_serves_the_queues_that_it_names(queue, path):
    mail = submit(queue, jobs_to_run.nothing, queue="mail")
    other = submit(queue, jobs_to_run.nothing, queue="other")

    assert Worker(path, queues=["mail"]).work_off(lambda: True) == 1
    assert queue.get_status(mail)["status"] == "completed"
    assert queue.get_status(other)["status"] == "pending"


def test_only_allowed_functions_are_run_and_nothing_else_is_imported(queue, worker):
    worker.allow = ("support.jobs_to_run.nothing", "support.jobs_to_run.os*")
    allowed = submit(queue, jobs_to_run.nothing, max_attempts=1)
    refused = submit(queue, jobs_to_run.add, params={"a": 1, "b": 2}, max_attempts=1)
    foreign = submit(queue, os.getpid, max_attempts=1)
    worker.work_off(lambda: True)

    assert queue.get_status(allowed)["status"] == "completed"
    assert (
        "support.jobs_to_run.add is not among the functions" in queue.get_status(refused)["error"]
    )
    assert "posix.getpid is not among" in queue.get_status(foreign)["error"]


def test_a_name_in_an_allowed_module_does_not_lead_out_of_it(queue, path, worker):
    worker.allow = ("support.jobs_to_run.*",)
    job_id = submit(queue, jobs_to_run.nothing, max_attempts=1)
    open_connection(path).execute("UPDATE jobs SET function_name = 'Path'")
    worker.process_one()

    # Its module is pathlib or, from Python 3.13 on, pathlib._local.
    refusal = f"{Path.__module__}.Path is not among the functions"
    assert refusal in queue.get_status(job_id)["error"]


def test_the_events_of_a_job_come_once_and_in_order(queue, worker, reported):
    submit(queue, jobs_to_run.fail, max_attempts=2)
    worker.work_off(lambda: True)
    worker.process_one()

    assert [name for name, _ in reported] == [
        "job.submitted",
        "job.started",
        "job.retrying",
        "job.started",
        "job.failed",
    ]


def test_a_row_that_cannot_be_read_fails_and_does_not_stop_the_worker(queue, path, worker):
    bad = submit(queue, jobs_to_run.nothing)
    open_connection(path).execute("UPDATE jobs SET params = 'not JSON'")
    good = submit(queue, jobs_to_run.nothing)

    assert worker.work_off(lambda: True) == 1
    assert queue.get_status(bad)["status"] == "failed"
    assert queue.get_status(good)["status"] == "completed"


def test_stop_before_and_after_start_does_no_harm(worker):
    worker.stop()
    worker.stop()

    assert worker.running is False


@pytest.mark.parametrize(
    ("options", "message"),
    [({"concurrency": 0}, "concurrency is 0"), ({"polling_interval": 0}, "polling_interval is 0")],
)
def test_a_worker_refuses_numbers_that_make_no_sense(path, options, message):
    with pytest.raises(ValueError, match=message):
        Worker(path, **options)


def test_a_worker_makes_the_tables_when_it_is_first(path):
    assert Worker(path).process_one() is False
