"""A worker that hangs is replaced, unless the whole machine stood still."""

from __future__ import annotations

import os
import signal
import time

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

SHORT = {"pools.default.hang_timeout": "1s"}


@pytest.mark.fault("B10")
def test_a_stopped_idle_worker_is_replaced(daemons):
    daemon = daemons(SHORT)
    victim, other = daemon.worker_pids()

    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: len(pids := daemon.worker_pids()) == 2 and victim not in pids)

    assert other in daemon.worker_pids()


def test_a_recorder_that_stands_still_is_replaced_and_exit_records_are_not_lost(daemons):
    daemon = daemons(SHORT)
    recorder = daemon.status()["slots"][0]

    os.kill(recorder["pid"], signal.SIGSTOP)
    job_id = daemon.submit(jobs.segv, "deadly", max_attempts=1)
    job = daemon.wait_for_job(job_id, within=20)

    assert job["executions"][0]["cause"] == "crashed"
    assert daemon.status()["slots"][0]["pid"] != recorder["pid"]


def test_an_idle_recorder_is_not_replaced_however_short_the_patience(daemons):
    daemon = daemons(SHORT)
    before = daemon.status()["slots"]

    # It is looked at every few seconds, and shows life once a second.
    wait_until(lambda: daemon.status()["uptime"] > 8)

    assert [slot["pid"] for slot in daemon.status()["slots"]] == [slot["pid"] for slot in before]


@pytest.mark.fault("F15")
def test_after_all_processes_were_suspended_none_is_replaced(daemons):
    daemon = daemons({"pools.default.hang_timeout": "1s"})
    pids = [slot["pid"] for slot in daemon.status()["slots"]]

    for pid in (daemon.pid, *pids):
        os.kill(pid, signal.SIGSTOP)
    gone_by = time.monotonic() + 8.0
    wait_until(lambda: time.monotonic() > gone_by)
    for pid in (daemon.pid, *pids):
        os.kill(pid, signal.SIGCONT)
    daemon.wait_for_job(daemon.submit(jobs.ok, "after"))

    assert daemon.wait_for_event("supervisor_stalled")["seconds"] > 2
    assert [slot["pid"] for slot in daemon.status()["slots"]] == pids
