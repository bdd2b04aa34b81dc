"""The harness itself: it starts a real daemon, and notices what a test leaves behind."""

import os
import subprocess
import sys

import pytest
from support import jobs
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
    from gigqd.tag import Tag, home_of

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
