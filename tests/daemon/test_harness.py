"""The harness itself: it starts a real daemon, and notices what a test leaves behind."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support import checks, jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


def test_a_job_runs_and_its_call_is_in_the_ledger(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.ok, "hello", {"value": 7})

    assert daemon.wait_for_job(job_id, "completed")["result"] == 7
    (call,) = daemon.calls("hello")
    assert call.end is not None
    assert call.pid in daemon.worker_pids()


def test_a_daemon_can_be_killed_and_started_again(daemons):
    daemon = daemons()
    first = daemon.pid

    daemon.kill()
    daemon.start()

    assert daemon.pid != first
    assert daemon.status()["pid"] == daemon.pid


def test_a_tagged_process_that_is_left_is_noticed(daemons):
    daemon = daemons(start=False)
    from gigqd.process.process_tag import Tag, home_of

    tag = Tag(home_of(str(daemon.database)), "gigqd:1", "default/0", 1)
    environment = {**os.environ, "GIGQD_WORKER": str(tag)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, env=environment) as left:
        wait_until(lambda: daemon.tagged_pids() == [left.pid])

        with pytest.raises(AssertionError, match="no tagged process is left"):
            daemon.check_remains()

        left.kill()


def test_a_start_that_fails_says_why(daemons):
    daemon = daemons({"code.imports": ["no_such_module"]}, start=False)

    with pytest.raises(RuntimeError, match="no_such_module"):
        daemon.start()


def finished(daemon):
    """A daemon that has run one job and was stopped; the job's id."""
    job_id = daemon.submit(jobs.ok, "done")
    daemon.wait_for_job(job_id, "completed")
    daemon.stop()
    return job_id


BROKEN = {
    "P4: job done: failed with 1 executions": "UPDATE jobs SET status = 'failed'",
    "P4: job done: completed with 0 executions": "UPDATE job_executions SET status = 'failed'",
    "P4: job done: an execution is open": "UPDATE job_executions SET status = 'running'",
    "P4: a call of done without an execution": "UPDATE job_executions SET id = 'another'",
    "P4: done: an execution that is completed was never called": (
        "INSERT INTO job_executions(id, job_id, status, started_at)"
        " SELECT 'phantom', job_id, status, started_at FROM job_executions"
    ),
    "P6: job done is missing": "DELETE FROM jobs",
}


@pytest.mark.parametrize(("message", "statement"), BROKEN.items(), ids=BROKEN.keys())
def test_a_job_that_is_not_accounted_for_is_noticed(daemons, message, statement):
    daemon = daemons()
    finished(daemon)
    with closing(sqlite3.connect(daemon.database)) as connection, connection:
        connection.execute(statement)

    with pytest.raises(AssertionError, match=message):
        daemon.check_remains()

    for rule in ("P4", "P6"):
        daemon.breaks(rule, "the records were falsified")


def test_an_attempt_that_begins_while_an_earlier_one_lives_is_noticed(daemons):
    daemon = daemons()
    job_id = daemon.submit(jobs.wait_for_file, "long", {"path": str(daemon.home / "go")})
    daemon.wait_for_calls("long")
    with closing(sqlite3.connect(daemon.database)) as connection, connection:
        connection.execute("UPDATE jobs SET status = 'pending', execution_id = NULL")
        connection.execute("UPDATE job_executions SET status = 'failed', cause = 'lost'")
    daemon.submit(jobs.ok, "to ring the bell")
    daemon.wait_for_calls("long", 2)
    (daemon.home / "go").touch()
    daemon.wait_for_job(job_id, "completed")
    daemon.stop()

    with pytest.raises(AssertionError, match="P5: long began while an earlier attempt of it lived"):
        daemon.check_remains()

    daemon.breaks("P5", "the records were falsified")


def test_a_bystander_that_dies_is_noticed():
    bystander = checks.Bystander()
    bystander.check()
    bystander.end()

    with pytest.raises(AssertionError, match="P8"):
        bystander.check()
