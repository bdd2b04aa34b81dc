"""A database that is locked or unusable delays no kill, no respawn and no command."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


@pytest.mark.fault("G1", "G4")
@pytest.mark.fault("G1")
def test_overruns_are_killed_and_workers_replaced_while_the_database_is_locked(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0})
    job_id = daemon.submit(jobs.sleep_c, "late", timeout=1, max_attempts=1)
    (call,) = daemon.wait_for_calls("late")

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        exited = daemon.wait_for_event("worker_exited")
        wait_until(lambda: len(daemon.worker_pids()) == 2)
        status = wait_until(lambda: (s := daemon.status())["state"] == "degraded" and s)
        blocker.execute("ROLLBACK")

    assert exited["pid"] == call.pid
    assert "locked" in status["reason"]
    assert status["unrecorded_exits"] == 1
    assert daemon.wait_for_job(job_id)["status"] == "timeout"
    wait_until(lambda: daemon.status()["state"] == "running")
    assert [e["cause"] for e in daemon.job(job_id)["executions"]] == ["timeout"]


@pytest.mark.long
@pytest.mark.fault("G2")
def test_a_database_locked_for_too_long_at_the_start_is_said(daemons):
    daemon = daemons(start=False)

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("PRAGMA journal_mode = WAL")
        blocker.execute("BEGIN EXCLUSIVE")
        for limit in (1.5, 10, 60):  # on a busy machine the recorder needs more than a second
            daemon.configure({"daemon.start_timeout": limit})
            answer = daemon.command("run")
            if "did not come up" not in answer.stderr:
                break

    assert answer.returncode == 69
    assert "locked" in answer.stderr


@pytest.mark.fault("G11")
def test_a_schema_from_the_future_is_refused(daemons):
    daemon = daemons(start=False)
    daemon.queue.stats()
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as future:
        future.execute("INSERT INTO gigq_schema(version, applied_at) VALUES (999, 'tomorrow')")

    answer = daemon.command("run")

    assert answer.returncode == 78
    assert "999" in answer.stderr


def test_a_worker_asked_to_leave_settles_first_what_a_locked_database_did_not_take(daemons):
    daemon = daemons({"pools.default.size": 1, "queue.lock_timeout": 0.2})
    path = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "done", {"path": str(path)}, max_attempts=1)
    (call,) = daemon.wait_for_calls("done")

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        path.touch()
        daemon.wait_for_event("database_error")
        os.kill(call.pid, signal.SIGTERM)
        wait_until(lambda: not _is_pending(call.pid, signal.SIGTERM))
        blocker.execute("ROLLBACK")

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    wait_until(lambda: (pids := daemon.worker_pids()) and call.pid not in pids)


@pytest.mark.fault("G4")
def test_a_recorder_that_hangs_is_replaced_and_the_next_one_settles_its_exit_records(daemons):
    daemon = daemons({"pools.default.hang_timeout": "2s"})
    job_id = daemon.submit(jobs.sleep_py, "dying", max_attempts=1)
    (call,) = daemon.wait_for_calls("dying")
    recorder = daemon.status()["slots"][0]["pid"]

    os.kill(recorder, signal.SIGSTOP)
    os.kill(call.pid, signal.SIGKILL)

    assert daemon.wait_for_job(job_id)["executions"][0]["cause"] == "crashed"
    assert daemon.status()["slots"][0]["pid"] != recorder
    assert len(daemon.events("exit_recorded")) == 1


def _is_pending(pid: int, number: int) -> bool:
    """Whether a process has not taken a signal yet."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    masks = [line.split()[1] for line in status.splitlines() if "Pnd:" in line]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)
