"""A stop has one deadline; nothing outlives it, and what it cuts short is released."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from contextlib import closing, suppress

import psutil
import pytest
from support import failing, jobs
from support.daemon import on_both_databases
from support.waiting import wait_until

from gigqd.errors import GigqdError

pytestmark = pytest.mark.daemon


@pytest.mark.fault("B2")
@on_both_databases
def test_running_jobs_finish_and_waiting_ones_stay(daemons):
    daemon = daemons({"pools.default.size": 1}, fresh=True)  # to the end of the interpreter
    path = daemon.home / "go"
    running = daemon.submit(jobs.wait_for_file, "running", {"path": str(path)})
    waiting = daemon.submit(jobs.ok, "waiting")
    daemon.wait_for_calls("running")

    daemon.signal(signal.SIGTERM)
    daemon.wait_for_event("drain_started")
    path.touch()

    assert daemon.wait_for_exit() == 0
    assert daemon.job(running)["status"] == "completed"
    assert daemon.job(waiting)["status"] == "pending"
    (end,) = daemon.events("daemon_stopped")
    assert (end["finished"], end["released"]) == (1, 0)


@pytest.mark.fault("B2")
def test_what_outlives_the_deadline_is_handed_back_with_its_attempt(daemons):
    daemon = daemons({"daemon.stop_timeout": 0.5})
    job_id = daemon.submit(jobs.sleep_c, "long", timeout=600)
    daemon.wait_for_calls("long")

    answer = daemon.command("stop")
    job = daemon.job(job_id)

    assert answer.returncode == 0
    assert "1 released" in answer.stdout
    assert (job["status"], job["attempts"]) == ("pending", 0)
    assert [e["cause"] for e in job["executions"]] == ["stopped"]
    daemon.start()
    daemon.wait_for_calls("long", 2)


@pytest.mark.parametrize(
    "function", [jobs.sleep_c, failing.clean_up_when_interrupted], ids=["killed", "interrupted"]
)
def test_a_job_with_a_single_attempt_is_not_handed_back(daemons, function):
    daemon = daemons({"daemon.stop_timeout": "1s", "pools.default.timeout_grace": "500ms"})
    job_id = daemon.submit(function, "once", timeout=600, max_attempts=1)
    daemon.wait_for_calls("once")

    answer = daemon.command("stop")

    assert daemon.job(job_id)["status"] == "failed"
    assert daemon.job(job_id)["cause"] == "stopped"
    assert "0 running jobs finished, 0 released, 1 failed" in answer.stdout
    (end,) = daemon.events("daemon_stopped")
    assert (end["finished"], end["failed"], end["released"], end["unrecorded"]) == (0, 1, 0, 0)


def test_a_job_that_swallows_the_stop_and_returns_counts_as_finished(daemons):
    daemon = daemons({"daemon.stop_timeout": "2s", "pools.default.timeout_grace": "1500ms"})
    job_id = daemon.submit(failing.swallow_the_stop, "stubborn", max_attempts=3)
    daemon.wait_for_calls("stubborn")

    answer = daemon.command("stop")

    assert daemon.job(job_id)["status"] == "completed"
    assert "1 running job finished, 0 released" in answer.stdout


@pytest.mark.fault("B6")
@pytest.mark.parametrize("how", ["stop --now", "QUIT"])
def test_a_stop_at_once_does_not_wait_for_jobs(daemons, how):
    daemon = daemons({"daemon.stop_timeout": 600})
    job_id = daemon.submit(jobs.spawn_children, "family", timeout=600)
    children = wait_until(lambda: len(pids := jobs.child_pids(daemon.ledger)) == 6 and pids)

    if how == "QUIT":
        daemon.signal(signal.SIGQUIT)
    else:
        assert daemon.command("stop", "--now").returncode == 0

    assert daemon.wait_for_exit() == 0
    assert daemon.job(job_id)["status"] == "pending"
    assert set(children).isdisjoint(daemon.tagged_pids())


@pytest.mark.fault("B6")
def test_several_terms_are_one_stop(daemons):
    daemon = daemons({"pools.default.size": 1})
    path = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "running", {"path": str(path)})
    daemon.wait_for_calls("running")

    for _ in range(5):
        daemon.signal(signal.SIGTERM)
    daemon.wait_for_event("drain_started")
    path.touch()

    assert daemon.wait_for_exit() == 0
    assert daemon.job(job_id)["status"] == "completed"
    assert len(daemon.events("drain_started")) == 1


@pytest.mark.fault("B7")
def test_a_reload_while_stopping_is_refused(daemons):
    daemon = daemons({"pools.default.size": 1})
    path = daemon.home / "go"
    daemon.submit(jobs.wait_for_file, "running", {"path": str(path)})
    daemon.wait_for_calls("running")
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_event("drain_started")

    answer = daemon.command("reload")
    path.touch()

    assert answer.returncode == 1
    assert "stopping" in answer.stderr
    assert daemon.wait_for_exit() == 0


@pytest.mark.fault("B5")
def test_a_worker_asked_to_leave_by_a_signal_finishes_its_job_and_is_replaced(daemons):
    daemon = daemons({"pools.default.size": 1})
    path = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "running", {"path": str(path)})
    (call,) = daemon.wait_for_calls("running")

    import os

    os.kill(call.pid, signal.SIGTERM)
    path.touch()

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    wait_until(lambda: (pids := daemon.worker_pids()) and call.pid not in pids)


@pytest.mark.fault("B4")
def test_a_stop_during_the_start_opens_no_pool(daemons):
    daemon = daemons({"pools.default.size": 1}, start=False)

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("PRAGMA journal_mode = WAL")
        blocker.execute("BEGIN EXCLUSIVE")
        run = subprocess.Popen(
            [daemon.interpreter, "-m", "gigqd", "--config", str(daemon.config_path), "run"],
            env=daemon.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: [slot["state"] for slot in _status(daemon).get("slots", ())] == ["idle"])
        run.send_signal(signal.SIGTERM)
        wait_until(lambda: _status(daemon).get("state") == "stopping")
        blocker.execute("ROLLBACK")
        _, text = run.communicate(timeout=20)

    assert run.returncode == 0
    assert "default/" not in text


@pytest.mark.fault("B15")
def test_a_recorder_that_does_not_answer_does_not_keep_a_stop_from_its_end(daemons):
    daemon = daemons({"daemon.stop_timeout": 600})
    recorder = daemon.status()["slots"][0]["pid"]
    psutil.Process(recorder).suspend()

    daemon.signal(signal.SIGTERM)

    assert daemon.wait_for_exit() == 0
    assert not psutil.pid_exists(recorder)


@pytest.mark.fault("B15")
def test_a_locked_database_does_not_keep_a_stop_from_its_end(daemons):
    daemon = daemons({"daemon.stop_timeout": 600})
    job_id = daemon.submit(jobs.sleep_c, "long", timeout=600)
    daemon.wait_for_calls("long")

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        daemon.signal(signal.SIGQUIT)
        code = daemon.wait_for_exit()
        blocker.execute("ROLLBACK")
    daemon.start()

    assert code == 0
    daemon.wait_for_calls("long", 2)
    assert [e["cause"] for e in daemon.job(job_id)["executions"]] == ["lost", None]


def _status(daemon):
    with suppress(GigqdError):
        return daemon.status()
    return {}
