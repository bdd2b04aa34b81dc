"""A database file that is deleted, replaced, emptied or damaged under a running daemon."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from support import jobs
from support.store_faults import (
    copy_of,
    files_of,
    integrity,
    move_away,
    wait_until_degraded,
    wait_until_running,
)
from support.waiting import wait_until

from gigq import Job
from gigq.errors import StoreGone
from gigq.store.sqlite.connections import close_connection
from gigq.store.sqlite.processes.run_locks import companion, is_alive

pytestmark = pytest.mark.daemon

SUBMIT = """
import sys
from gigq import Job, JobQueue
from support import jobs
params = {"ledger": sys.argv[2], "job": sys.argv[3]}
print(JobQueue(sys.argv[1]).submit(Job(sys.argv[3], jobs.ok, params)))
"""


def submit_elsewhere(daemon, key):
    """Submit from a process that has never seen the database before."""
    tests = str(Path(jobs.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-c", SUBMIT, str(daemon.database), str(daemon.ledger), key],
        env={**daemon.environment, "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def works(daemon, key):
    """Whether a job that is submitted now is done."""
    return daemon.wait_for_job(daemon.submit(jobs.ok, key))["status"] == "completed"


@pytest.mark.fault("G10")
def test_a_database_that_is_moved_away_is_waited_for_and_never_begun_anew(daemons):
    daemon = daemons()
    assert works(daemon, "before")
    away = move_away(daemon.database)

    status = wait_until_degraded(daemon, "is gone")
    pids = daemon.worker_pids()
    wait_until(lambda: daemon.events("db_down")[-1]["pause_claims"])

    assert "put it back" in status["reason"]
    assert not any(name.exists() for name in away)
    for name, place in away.items():
        place.rename(name)
    wait_until_running(daemon)
    assert works(daemon, "after")
    assert daemon.worker_pids() == pids


@pytest.mark.fault("G10")
def test_neither_a_new_worker_nor_a_new_recorder_begins_a_new_file(daemons):
    daemon = daemons()
    assert works(daemon, "before")
    away = move_away(daemon.database)
    wait_until_degraded(daemon, "is gone")

    before = [slot["pid"] for slot in daemon.status()["slots"]]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all_up(daemon) and not set(before) & set(pids_of(daemon)))
    wait_until_degraded(daemon, "is gone")

    assert not daemon.database.exists()
    for name, place in away.items():
        place.rename(name)
    wait_until_running(daemon)
    assert works(daemon, "after")


def pids_of(daemon):
    return [slot["pid"] for slot in daemon.status()["slots"]]


def all_up(daemon):
    return all(slot["state"] == "idle" for slot in daemon.status()["slots"])


@pytest.mark.fault("G10")
def test_a_job_that_runs_while_the_database_is_away_is_settled_once_when_it_is_back(daemons):
    daemon = daemons({"pools.default.size": 1})
    path = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "runs", {"path": str(path)}, max_attempts=1)
    daemon.wait_for_calls("runs")
    away = move_away(daemon.database)
    wait_until_degraded(daemon, "is gone")

    path.touch()
    daemon.wait_for_event("database_error")
    for name, place in away.items():
        place.rename(name)

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert len(daemon.calls("runs")) == 1
    wait_until_running(daemon)


def test_a_submit_into_a_deleted_file_is_no_success_and_makes_no_file(daemons):
    daemon = daemons()
    daemon.breaks("P6", "the database is deleted")
    queue = daemon.queue
    for name in files_of(daemon.database):
        name.unlink()

    with pytest.raises(StoreGone):
        queue.submit(Job("never", jobs.ok, {"ledger": str(daemon.ledger), "job": "never"}))
    wait_until_degraded(daemon, "is gone")
    assert not daemon.database.exists()
    close_connection(daemon.database)


@pytest.mark.fault("G10")
def test_another_database_in_its_place_is_put_in_order_and_worked_off(daemons):
    daemon = daemons()
    daemon.breaks("P4", "what ran after the copy was made is in the ledger only")
    first = daemon.submit(jobs.ok, "first")
    daemon.wait_for_job(first)
    copy = copy_of(daemon.database)
    with closing(sqlite3.connect(copy)) as edited, edited:
        edited.execute(
            "UPDATE jobs SET status = 'running', execution_id = "
            "(SELECT id FROM job_executions WHERE job_id = jobs.id), completed_at = NULL"
        )
        edited.execute("UPDATE job_executions SET status = 'running', completed_at = NULL")
    move_away(daemon.database)

    copy.rename(daemon.database)

    wait_until(lambda: len(daemon.events("recovery_finished")) == 2)
    done = daemon.wait_for_job(first, "completed")
    assert [each["cause"] for each in done["executions"]] == ["lost", None]
    wait_until_running(daemon)
    assert works(daemon, "after")


def test_a_replaced_file_beside_the_old_log_is_left_alone_until_the_log_is_moved(daemons):
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "first"))
    copy = copy_of(daemon.database)
    for number in range(3):
        daemon.wait_for_job(daemon.submit(jobs.ok, f"more {number}"))
    daemon.breaks("P4", "what ran after the copy was made is in the ledger only")
    daemon.breaks("P6", "what was submitted after the copy was made is gone")
    close_connection(daemon.database)
    daemon.wait_for_job(daemon.submit(jobs.ok, "last"))
    copy.replace(daemon.database)
    log, index = (Path(f"{daemon.database}{end}") for end in ("-wal", "-shm"))
    if log.stat().st_size:
        status = wait_until_degraded(daemon, "still the log of the old file")
        assert "move the -wal and the -shm away" in status["reason"]
    for name in (log, index):
        name.rename(daemon.home / f"old{name.suffix}")

    wait_until_running(daemon)
    close_connection(daemon.database)
    assert works(daemon, "after")
    assert integrity(daemon.database) == "ok"


@pytest.mark.fault("G10")
@pytest.mark.parametrize("size", [0, 8192])
def test_a_truncated_database_stops_all_claims_and_is_not_touched(daemons, size):
    daemon = daemons()
    assert works(daemon, "before")
    daemon.breaks("P4", "the database is cut off")
    daemon.breaks("P6", "the database is cut off")
    good = copy_of(daemon.database)
    wait_until(lambda: daemon.database.stat().st_size > 8192 and not wal_size(daemon))
    close_connection(daemon.database)

    with daemon.database.open("r+b") as file:
        file.truncate(size)

    wait_until_degraded(daemon, "jobs.db")
    wait_until(lambda: daemon.events("db_down")[-1]["pause_claims"])
    assert daemon.database.stat().st_size == size
    move_away(daemon.database)
    good.rename(daemon.database)
    wait_until_running(daemon)
    assert works(daemon, "after")


def wal_size(daemon):
    log = Path(f"{daemon.database}-wal")
    return log.stat().st_size if log.exists() else 0


@pytest.mark.fault("G10")
def test_a_header_that_is_written_over_while_running_stops_all_claims(daemons):
    daemon = daemons()
    assert works(daemon, "before")
    wait_until(lambda: not wal_size(daemon))
    close_connection(daemon.database)
    with daemon.database.open("r+b") as file:
        header = file.read(100)
        file.seek(0)
        file.write(b"\0" * 100)

    status = wait_until_degraded(daemon, "not a database")

    assert "keep the file" in status["reason"]
    with daemon.database.open("r+b") as file:
        assert file.read(100) == b"\0" * 100
        file.seek(0)
        file.write(header)
    wait_until_running(daemon)
    assert works(daemon, "after")
    assert integrity(daemon.database) == "ok"


@pytest.mark.fault("G10")
def test_a_database_that_is_none_is_refused_at_the_start_and_left_as_it_is(daemons):
    daemon = daemons(start=False)
    content = b"this is no database, and it is long enough to be sure of it" * 20
    daemon.database.write_bytes(content)

    answer = daemon.command("run")

    assert answer.returncode == 69
    assert "jobs.db is damaged or not a database" in answer.stderr
    assert daemon.database.read_bytes() == content


@pytest.mark.fault("G11")
def test_a_schema_from_the_future_that_appears_while_running_stops_all_claims(daemons):
    daemon = daemons()
    queue = daemon.queue
    queue.stats()
    with closing(sqlite3.connect(daemon.database)) as newer, newer:
        newer.execute("INSERT INTO gigq_schema(version, applied_at) VALUES (999, 'tomorrow')")

    status = wait_until_degraded(daemon, "999")
    wait_until(lambda: daemon.events("db_down")[-1]["pause_claims"])

    assert "upgrade gigq" in status["reason"]
    job_id = queue.submit(Job("held", jobs.ok, {"ledger": str(daemon.ledger), "job": "held"}))
    with pytest.raises(AssertionError):
        daemon.wait_for_calls("held", within=1.0)
    with closing(sqlite3.connect(daemon.database)) as older, older:
        older.execute("DELETE FROM gigq_schema WHERE version = 999")
    assert daemon.wait_for_job(job_id)["status"] == "completed"
    wait_until_running(daemon)
    assert works(daemon, "after")


@pytest.mark.fault("G10")
def test_a_log_that_is_moved_away_stops_all_claims_until_it_is_back(daemons):
    daemon = daemons()
    assert works(daemon, "before")
    log = Path(f"{daemon.database}-wal")
    away = log.rename(daemon.home / "away")

    status = wait_until_degraded(daemon, "jobs.db-wal was deleted or moved away")
    wait_until(lambda: daemon.events("db_down")[-1]["pause_claims"])

    assert "the process that ends last writes the log" in status["reason"]
    assert not log.exists()
    away.rename(log)
    wait_until_running(daemon)
    assert works(daemon, "after")
    assert integrity(daemon.database) == "ok"


def test_a_deleted_companion_folder_costs_no_wake_and_no_running_job(daemons):
    daemon = daemons()
    path = daemon.home / "go"
    held = daemon.submit(jobs.wait_for_file, "held", {"path": str(path)}, max_attempts=1)
    daemon.wait_for_calls("held")
    shutil.rmtree(companion(daemon.database))

    job_id = submit_elsewhere(daemon, "quick")
    began = time.monotonic()
    daemon.wait_for_calls("quick")

    assert time.monotonic() - began < 1.0
    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert is_alive(daemon.database, daemon.status()["run"])
    wait_until(lambda: daemon.events("files_repaired"))
    assert daemon.events("files_repaired")[0]["files"] == ["locks"]
    path.touch()
    assert daemon.wait_for_job(held)["attempts"] == 1
