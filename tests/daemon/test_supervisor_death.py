"""The supervisor killed with -9: its workers are gone, and the next start settles what was open."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psutil
import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.fault("E1", "E2")
@pytest.mark.parametrize("function", [jobs.sleep_py, jobs.hold_gil], ids=lambda f: f.__name__)
def test_the_workers_die_with_it_and_the_job_runs_again(daemons, function):
    daemon = daemons()
    job_id = daemon.submit(function, "open", timeout=600)
    (call,) = daemon.wait_for_calls("open")
    pids = [slot["pid"] for slot in daemon.status()["slots"]]

    daemon.kill()
    wait_until(lambda: all(is_gone(pid) for pid in pids), 1.0, why="gone within a second")
    assert daemon.job(job_id)["status"] == "running"
    daemon.start()
    _, second = daemon.wait_for_calls("open", 2)
    executions = daemon.job(job_id)["executions"]

    assert [e["cause"] for e in executions] == ["lost", None]
    assert second.pid != call.pid
    assert daemon.job(job_id)["attempts"] == 2


@pytest.mark.fault("E5")
def test_children_that_outlive_it_are_gone_before_the_first_claim(daemons):
    daemon = daemons()
    daemon.submit(jobs.spawn_children, "family", timeout=600, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(daemon.ledger)) == 6 and pids)

    daemon.kill()
    left = [pid for pid in children if not is_gone(pid)]
    daemon.start()

    assert left
    assert all(is_gone(pid) for pid in children)
    assert daemon.events("orphans_killed")


@pytest.mark.fault("E11")
def test_a_recorder_that_dies_is_replaced_and_loses_no_exit_record(daemons):
    daemon = daemons()
    recorder = daemon.status()["slots"][0]["pid"]

    psutil.Process(recorder).suspend()
    job_id = daemon.submit(jobs.segv, "deadly", max_attempts=1)
    wait_until(lambda: daemon.status()["unrecorded_exits"] == 1)
    psutil.Process(recorder).kill()

    assert daemon.wait_for_job(job_id)["status"] == "failed"
    wait_until(lambda: daemon.status()["unrecorded_exits"] == 0)
    assert daemon.status()["slots"][0]["pid"] != recorder


def test_trouble_that_a_recorder_told_of_ends_with_an_heir_that_finds_none(daemons):
    daemon = daemons()
    recorder = daemon.status()["slots"][0]["pid"]
    daemon.submit(jobs.sleep_py, "cut off", timeout=600, max_attempts=1)
    (call,) = daemon.wait_for_calls("cut off")

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        psutil.Process(call.pid).kill()
        wait_until(lambda: daemon.status()["state"] == "degraded")
        psutil.Process(recorder).suspend()
        blocker.execute("ROLLBACK")
    psutil.Process(recorder).kill()

    wait_until(lambda: daemon.status()["state"] == "running")
    assert daemon.events("db_up")
