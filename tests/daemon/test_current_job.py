"""What a job in the daemon knows of itself, and what surrounds it."""

from __future__ import annotations

import os
import signal

import pytest
from support import jobs, spoilers
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

TOLD_TO_SERVICES = {
    "NOTIFY_SOCKET": "/missing",
    "WATCHDOG_USEC": "60000000",
    "WATCHDOG_PID": "1",
    "LISTEN_FDS": "1",
    "LISTEN_PID": "1",
    "LISTEN_FDNAMES": "x",
    "INVOCATION_ID": "abc",
}


def test_a_job_knows_who_it_is_and_how_long_it_may_run(daemons):
    daemon = daemons({"pools.default.timeout_limit": 30})

    job_id = daemon.submit(spoilers.tell_of_itself, "self", timeout=60, max_attempts=2)
    job = daemon.wait_for_job(job_id, "completed")

    facts = job["result"]
    first, second = facts.pop("remaining")
    assert facts == {
        "id": job_id,
        "name": "self",
        "queue": "default",
        "attempt": 1,
        "max_attempts": 2,
        "execution_id": job["execution_id"],
        "stop": False,
        "cancel": False,
    }
    assert 0.0 < second < first <= 30.0


def test_a_job_without_a_limit_has_all_the_time(daemons):
    daemon = daemons()
    job_id = daemon.submit(spoilers.tell_of_itself, "self", timeout=None)

    assert daemon.wait_for_job(job_id, "completed")["result"]["remaining"] == [None, None]


def test_a_job_sees_that_the_daemon_wants_to_stop(daemons):
    daemon = daemons({"daemon.stop_timeout": "20s"})
    job_id = daemon.submit(spoilers.wait_for_stop, "polite", max_attempts=1)
    daemon.wait_for_calls("polite")

    daemon.stop()

    assert daemon.job(job_id)["result"] == "stopped by itself"


def test_a_job_sees_that_its_worker_was_sent_term(daemons):
    daemon = daemons()
    job_id = daemon.submit(spoilers.wait_for_stop, "polite", max_attempts=1)
    (call,) = daemon.wait_for_calls("polite")

    os.kill(call.pid, signal.SIGTERM)

    assert daemon.wait_for_job(job_id)["result"] == "stopped by itself"


def test_a_job_sees_that_it_was_cancelled_and_is_told_so(daemons):
    daemon = daemons({"pools.default.timeout_grace": "1s"})
    written = daemon.home / "written"
    job_id = daemon.submit(spoilers.wait_for_cancel, "unwanted", {"written": str(written)})
    daemon.wait_for_calls("unwanted")

    daemon.queue.cancel(job_id, running=True)

    assert daemon.wait_for_job(job_id)["status"] == "cancelled"
    assert written.read_text() == "raised, True"


@pytest.mark.fault("H4")
def test_a_job_is_not_told_what_was_meant_for_the_daemon_and_neither_are_its_children(daemons):
    daemon = daemons(start=False)
    daemon.start(**TOLD_TO_SERVICES)

    job_id = daemon.submit(spoilers.environment_of_a_child, "look")
    found = daemon.wait_for_job(job_id, "completed")["result"]

    assert TOLD_TO_SERVICES.keys() & found["environment"].keys() == set()
    assert "default/" in found["environment"]["GIGQD_WORKER"]
    assert found["handlers"] == ["default_int_handler", "SIG_DFL"]
    assert found["blocked"] == 0
    # SIGPIPE and SIGXFSZ: Python itself ignores them, and resets that for no child.
    # From number 32 on they are the C library's own.
    by_python = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert found["ignored"] & ~by_python & 0x7FFF_FFFF == 0


def test_what_a_job_logs_names_its_pool_and_its_worker(daemons):
    daemon = daemons()
    job_id = daemon.submit(jobs.log_a_line, "talker", {"message": "half way"})
    daemon.wait_for_job(job_id, "completed")

    (line,) = daemon.events("half way")

    assert line["pool"] == "default"
    assert line["worker"] == daemon.job(job_id)["executions"][0]["worker_id"]


def test_a_held_worker_claims_nothing_and_is_woken_when_the_hold_ends(daemons):
    daemon = daemons({"pools.default.size": 1})
    paused = daemon.command("pause")
    job_id = daemon.submit(jobs.ok, "later")

    # Time enough for an idle worker to wake and claim many times over.
    while_held = {(daemon.status()["state"], daemon.job(job_id)["status"]) for _ in range(100)}
    resumed = daemon.command("resume")

    assert [status for _, status in while_held] == ["pending"]
    assert (paused.returncode, resumed.returncode) == (0, 0)
    wait_until(lambda: daemon.job(job_id)["status"] == "completed", 5.0)
