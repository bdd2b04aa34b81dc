"""What a job finds around it in the daemon, and how it gets there."""

from __future__ import annotations

import os
import pwd
import signal
import sqlite3
from contextlib import closing

import psutil
import pytest
from support import jobs
from support.daemon import TESTS
from support.files import open_up
from support.other_user import SEARCH_PATH, interpreter_for
from support.waiting import wait_until

from gigq import Job, Workflow

pytestmark = pytest.mark.daemon


def test_what_a_job_logs_carries_who_it_is(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.log_a_line, "talker", {"message": "half way"})
    daemon.wait_for_job(job_id, "completed")
    (line,) = daemon.events("half way")

    assert line["job_id"] == job_id
    assert line["job"] == "talker"
    assert line["attempt"] == 1
    assert line["execution"] == daemon.job(job_id)["execution_id"]
    assert line["slot"] in {slot["slot"] for slot in daemon.slots()}
    assert line["pid"] in daemon.worker_pids()
    assert line["level"] == "warning"


def test_lines_between_jobs_do_not_carry_the_last_job(daemons):
    daemon = daemons({"pools.default.size": 1})
    daemon.wait_for_job(daemon.submit(jobs.ok, "first"))

    daemon.command("reload", "--wait")

    assert "job_id" not in daemon.wait_for_event("worker_exited")
    assert "job_id" not in daemon.wait_for_event("reload_applied")


def test_what_a_job_prints_is_kept_with_its_attempt_and_not_in_the_log(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.say, "printer", {"text": "hello from the job"})
    (execution,) = daemon.wait_for_job(job_id)["executions"]

    assert execution["output"] == "hello from the job\n"
    assert "hello from the job" not in daemon.log_text()


def test_the_output_of_one_job_does_not_reach_the_next(daemons):
    daemon = daemons({"pools.default.size": 1})
    daemon.wait_for_job(daemon.submit(jobs.say, "first", {"text": "first"}))

    (execution,) = daemon.wait_for_job(daemon.submit(jobs.ok, "second"))["executions"]

    assert execution["output"] is None


def test_a_function_that_is_not_allowed_is_not_even_imported(daemons, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "forbidden_shop.py").write_text(
        "import os, pathlib\n"
        "pathlib.Path(__file__).with_name(f'imported-{os.getpid()}').touch()\n"
        "def work(): return 1\n"
    )
    from importlib import import_module

    function = import_module("forbidden_shop").work
    daemon = daemons(
        {"security.allow": ["support.*"], "code.python_path": [str(tmp_path), str(TESTS)]}
    )

    job = daemon.wait_for_job(daemon.queue.submit(Job("no", function)))
    allowed = daemon.wait_for_job(daemon.submit(jobs.ok, "yes"))

    assert job["status"] == "failed"
    assert "forbidden_shop" in job["error"]
    assert "FunctionNotAllowed" in job["error"]
    assert allowed["status"] == "completed"
    assert [path.name for path in tmp_path.glob("imported-*")] == [f"imported-{os.getpid()}"]


@pytest.mark.fault("H4")
def test_what_systemd_told_the_daemon_is_kept_from_jobs(daemons):
    daemon = daemons(start=False)
    private = ["WATCHDOG_USEC", "INVOCATION_ID", "LISTEN_FDS"]
    daemon.start(WATCHDOG_USEC="60000000", INVOCATION_ID="abc", LISTEN_FDS="1")

    job_id = daemon.submit(jobs.environment, "look", {"names": [*private, "GIGQD_WORKER"]})
    found = daemon.wait_for_job(job_id)["result"]["env"]

    assert [found[name] for name in private] == [None, None, None]
    assert "default/" in found["GIGQD_WORKER"]


def test_a_delayed_retry_happens_without_anything_else_to_wake_the_workers(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.flaky, "flaky", {"failures": 2}, retry_delay=1)
    job = daemon.wait_for_job(job_id)

    assert job["status"] == "completed"
    first, second, third = daemon.calls("flaky")
    assert second.start - first.start >= 1.0
    assert third.start - second.start >= 1.0


def test_a_job_that_foreign_sql_wrote_is_noticed(daemons):
    daemon = daemons()
    model = daemon.submit(jobs.ok, "model")
    daemon.wait_for_job(model)

    with closing(sqlite3.connect(daemon.database)) as connection, connection:
        connection.execute(
            """INSERT INTO jobs (id, name, function_name, function_module, params, priority,
                                 dependencies, max_attempts, timeout, status, created_at,
                                 updated_at, attempts)
               SELECT 'by-hand', name, function_name, function_module, params, priority,
                      dependencies, max_attempts, timeout, 'pending', created_at, updated_at, 0
               FROM jobs WHERE id = ?""",
            (model,),
        )

    assert daemon.wait_for_job("by-hand")["status"] == "completed"


def test_a_workflow_runs_in_order_with_the_results_of_its_parents(daemons):
    daemon = daemons({"pools.default.size": 4})
    workflow = Workflow("sum")
    params = {"ledger": str(daemon.ledger)}
    parts = [
        workflow.add_job(Job(f"part-{n}", jobs.ok, {**params, "job": f"part-{n}", "value": n}))
        for n in range(20)
    ]
    total = workflow.add_job(
        Job("total", jobs.add_up, {**params, "job": "total"}), depends_on=parts
    )

    workflow.submit_all(daemon.queue)
    job = daemon.wait_for_job(total.id)

    assert job["result"] == sum(range(20))
    (last,) = daemon.calls("total")
    assert all(call.end <= last.start for call in daemon.calls() if call.job != "total")


def test_priority_decides_among_due_jobs(daemons):
    daemon = daemons({"pools.default.size": 1})
    path = daemon.home / "go"
    daemon.submit(jobs.wait_for_file, "gate", {"path": str(path)})
    daemon.wait_for_calls("gate")
    for key, priority in (("low", -1), ("first", 5), ("second", 5), ("plain", 0)):
        last = daemon.submit(jobs.ok, key, priority=priority)

    path.touch()
    daemon.wait_for_job(last)
    wait_until(lambda: len(daemon.calls()) == 5)

    assert [call.job for call in daemon.calls()] == ["gate", "first", "second", "plain", "low"]


@pytest.mark.fault("D11")
def test_a_worker_is_replaced_after_its_number_of_jobs(daemons):
    daemon = daemons({"pools.default.size": 1, "pools.default.recycle_after_jobs": 1})

    ids = [daemon.submit(jobs.ok, f"job-{n}") for n in range(5)]
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed")

    assert len({call.pid for call in daemon.calls()}) == 5


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_started_as_root_it_runs_jobs_as_the_configured_user(daemons, tmp_path):
    account = pwd.getpwnam("nobody")
    open_up(tmp_path)
    daemon = daemons({"daemon.user": "nobody"}, start=False)
    daemon.interpreter = interpreter_for("nobody")
    os.chown(daemon.home, account.pw_uid, account.pw_gid)
    daemon.start(PYTHONPATH=SEARCH_PATH)

    with closing(sqlite3.connect(daemon.database)):
        job_id = daemon.submit(jobs.environment, "who", {"names": []})

    assert daemon.wait_for_job(job_id)["result"]["uid"] == account.pw_uid
    assert daemon.database.owner() == "nobody"


def test_a_result_above_the_configured_size_fails_the_attempt(daemons):
    daemon = daemons({"queue.max_result_size": 2048})
    small = daemon.submit(jobs.ok, "small", {"value": "x" * 2000})
    large = daemon.submit(jobs.ok, "large", {"value": "x" * 3000}, max_attempts=1)

    assert daemon.wait_for_job(small)["status"] == "completed"
    assert daemon.wait_for_job(large)["status"] == "failed"
    assert "TooLarge" in daemon.job(large)["error"]


def test_workers_write_as_durably_as_they_are_told(daemons):
    daemon = daemons({"pools.default.size": 1})

    def written_with():
        job_id = daemon.submit(jobs.synchronous, "look", {"database": str(daemon.database)})
        return daemon.wait_for_job(job_id, "completed")["result"]

    assert written_with() == 1

    daemon.configure({"queue.durability": "full"})
    daemon.command("reload")
    wait_until(lambda: written_with() == 2)


@pytest.mark.fault("H6")
def test_a_process_that_a_job_forks_can_be_terminated(daemons):
    daemon = daemons()
    job_id = daemon.submit(jobs.terminate_a_child, "pool", timeout=10)

    assert daemon.wait_for_job(job_id, "completed")["result"] == -signal.SIGTERM


def test_an_idle_worker_sleeps_on_after_a_signal_that_means_nothing(daemons):
    daemon = daemons({"pools.default.size": 1})
    daemon.wait_for_job(daemon.submit(jobs.ok, "first"))
    (pid,) = daemon.worker_pids()
    worker = psutil.Process(pid)

    worker.send_signal(signal.SIGHUP)

    wait_until(lambda: all(worker.status() == psutil.STATUS_SLEEPING for _ in range(200)))
    assert daemon.worker_pids() == [pid]


@pytest.mark.fault("H3")
def test_a_job_that_closes_its_output_succeeds_and_spoils_nothing_for_the_next(daemons):
    daemon = daemons({"pools.default.size": 1})
    closing_one = daemon.submit(jobs.close_output, "closes", max_attempts=1)
    next_one = daemon.submit(jobs.say, "says", {"text": "heard"}, max_attempts=1)

    assert daemon.wait_for_job(closing_one)["result"] == "closed"
    assert daemon.wait_for_job(next_one)["status"] == "completed"
    assert [daemon.job(each)["executions"][0]["output"] for each in (closing_one, next_one)] == [
        "the last\n",
        "heard\n",
    ]
