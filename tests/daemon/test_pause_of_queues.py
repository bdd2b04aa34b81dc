"""Stored pauses: every worker of a daemon keeps to them, and a restart does not end them."""

from __future__ import annotations

from contextlib import closing

import pytest
from support import jobs

from gigq import JobQueue

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["sqlite", "postgres"], indirect=True),
]


def test_a_pause_lasts_across_a_restart_until_a_resume(daemons):
    daemon = daemons()
    with closing(JobQueue(daemon.address)) as queue:
        queue.pause("mail")
        mail = [daemon.submit(jobs.ok, f"mail-{number}", queue="mail") for number in range(20)]
        daemon.wait_for_job(daemon.submit(jobs.ok, "first"), "completed")
        daemon.stop()
        daemon.start()
        daemon.wait_for_job(daemon.submit(jobs.ok, "second"), "completed")
        called = {call.job for call in daemon.calls()}

        assert {queue.get_status(job_id)["status"] for job_id in mail} == {"pending"}
        queue.resume("mail")
        for job_id in mail:
            daemon.wait_for_job(job_id, "completed")
    assert called == {"first", "second"}


def test_a_running_job_goes_on_while_everything_is_paused(daemons):
    daemon = daemons()
    go = daemon.home / "go"
    running = daemon.submit(jobs.wait_for_file, "running", {"path": str(go)})
    daemon.wait_for_calls("running")
    with closing(JobQueue(daemon.address)) as queue:
        queue.pause()
        waiting = daemon.submit(jobs.ok, "waiting")
        go.touch()

        daemon.wait_for_job(running, "completed")
        assert queue.get_status(waiting)["attempts"] == 0
        queue.resume()
        daemon.wait_for_job(waiting, "completed")
