"""A database that is lost or restored under a daemon, or before its start."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from support import jobs, stores
from support.daemon import on_both_databases
from support.raw_sql import Program
from support.store_faults import copy_of, move_away, wait_until_degraded, wait_until_running

from gigq.store.sqlite.connections import close_connections

pytestmark = pytest.mark.daemon


def total(daemon):
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as reader:
        return reader.execute("SELECT count(*) FROM jobs").fetchone()[0]


@pytest.mark.fault("G15")
def test_an_empty_file_under_a_daemon_is_not_begun_and_the_restored_one_is_used_when_complete(
    daemons,
):
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    later = daemon.submit(jobs.ok, "later")
    daemon.wait_for_job(later)
    good = copy_of(daemon.database).read_bytes()
    move_away(daemon.database)

    with daemon.database.open("wb") as restored:
        status = wait_until_degraded(daemon, "is empty")
        assert daemon.database.stat().st_size == 0
        restored.write(good[:5000])
        restored.flush()
        wait_until_degraded(daemon, "gigq uses it once it is complete")
        restored.write(good[5000:])

    wait_until_running(daemon)
    assert "check --init" in status["reason"]
    assert total(daemon) == 2
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@pytest.mark.fault("G15")
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_daemon_does_not_start_where_a_queue_was_lost_until_one_is_begun_on_request(daemons, how):
    daemon = daemons()
    daemon.stop()
    daemon.database.unlink()
    if how == "empty":
        daemon.database.touch()

    refused, checked = daemon.command("run"), daemon.command("check", "--db")
    assert not daemon.database.exists() or not daemon.database.stat().st_size
    begun = daemon.command("check", "--init")

    assert refused.returncode == 69
    assert f"held a queue and is {how}" in refused.stderr
    assert "gigqd check --init" in refused.stderr
    assert checked.returncode == 69
    assert begun.returncode == 0, begun.stderr
    daemon.start()
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@on_both_databases
@pytest.mark.fault("G19")
def test_a_database_of_another_program_is_refused_and_left_as_it_is(daemons):
    daemon = daemons(start=False)
    with closing(Program(daemon.address)) as other:
        other.execute("CREATE TABLE customers (name TEXT)")

    refused, checked = daemon.command("run"), daemon.command("check", "--db")
    with stores.database_at(daemon.address).read() as session:
        found = [row["name"] for row in session.all("table_names")]
    begun = daemon.command("check", "--init")

    assert refused.returncode == checked.returncode == 78
    assert "tables of another program (customers)" in refused.stderr
    assert found == ["customers"]
    assert begun.returncode == 0, begun.stderr
    daemon.start()
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "job"))["status"] == "completed"


@pytest.mark.fault("G19")
def test_a_restored_file_without_a_queue_stops_all_claims(daemons):
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    good = copy_of(daemon.database)
    other = daemon.home / "other.db"
    with closing(sqlite3.connect(other)) as foreign:
        foreign.execute("CREATE TABLE customers (name TEXT)")
    move_away(daemon.database)
    shutil.move(other, daemon.database)

    wait_until_degraded(daemon, "tables of another program")
    move_away(daemon.database)
    good.rename(daemon.database)

    wait_until_running(daemon)
    close_connections()
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@pytest.mark.fault("G20")
def test_a_folder_that_is_renamed_degrades_the_daemon_and_does_not_break_its_stop(daemons):
    daemon = daemons(start=False)
    folder = daemon.home / "data"
    folder.mkdir()
    daemon.configure({"queue.database": str(folder / "jobs.db")})
    daemon.database = folder / "jobs.db"
    daemon.start()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    close_connections()
    moved = folder.rename(daemon.home / "moved")

    status = wait_until_degraded(daemon, "is gone")
    daemon.stop()

    assert "put it back" in status["reason"]
    assert "Traceback" not in daemon.log_text()
    moved.rename(folder)
