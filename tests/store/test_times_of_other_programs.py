"""Times that other programs write with SQL: in local time, in other zones, or in no form."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from support.earlier_schemas import make_file
from support.ledger import FAILED, WORKER, status_of, stored, taken
from support.old_files import insert_row, job_row

from gigq.model import clock
from gigq.model.claim import ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.sqlite import connections
from gigq.store.verbs import expiry, jobs, rows_of_other_programs, settle_and_claim
from gigq.store.verbs.reschedule import reschedule

if TYPE_CHECKING:
    from support.raw_sql import Program

FORMS = ("local", "east", "west", "zulu", "space")


def in_form(moment: str, form: str) -> str:
    """Return a time as another program may write it."""
    there = clock.parse(moment)
    if form == "local":
        return there.astimezone().replace(tzinfo=None).isoformat()
    if form in ("east", "west"):
        hours = 5 if form == "east" else -5
        return there.astimezone(timezone(timedelta(hours=hours))).isoformat()
    return f"{there:%Y-%m-%dT%H:%M:%S.%fZ}" if form == "zulu" else str(there)


def claimed(db: Database) -> tuple[list[str], list[str]]:
    """Claim once; the ids of the claimed jobs and of the expired ones."""
    done = settle_and_claim.exchange(db, SettleBatch(), WORKER, ClaimRequest(new_id()))
    return [row["id"] for row in done.claimed], [one.job_id for one in done.expired]


def insert(program: Program, job_id: str, expires_at: object) -> None:
    now = clock.utc_now()
    row = job_row(job_id, created_at=now, updated_at=now, expires_at=expires_at)
    insert_row(program, "jobs", row)


@pytest.mark.usefixtures("three_hours_east")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("by", ["insert", "update"])
def test_an_expiry_is_the_same_time_in_every_form(
    db: Database, program: Program, form: str, by: str
) -> None:
    now = clock.utc_now()
    soon = {"over": clock.after(now, -60), "not over": clock.after(now, 60)}
    ids = {}
    for name, moment in soon.items():
        written = in_form(moment, form)
        ids[name] = stored(db) if by == "update" else name
        if by == "update":
            program.execute("UPDATE jobs SET expires_at = ? WHERE id = ?", (written, ids[name]))
        else:
            insert(program, name, written)

    assert claimed(db) == ([ids["not over"]], [ids["over"]])
    row = jobs.get(db, ids["not over"])
    assert row is not None
    assert row["expires_at"] == soon["not over"]


@pytest.mark.parametrize("idle", ["plain worker", "recorder"])
def test_an_expiry_is_read_while_no_worker_claims(
    db: Database, program: Program, idle: str
) -> None:
    over, later = stored(db), stored(db)
    for job_id, seconds in ((over, -60), (later, 60)):
        written = in_form(clock.after(clock.utc_now(), seconds), "east")
        program.execute("UPDATE jobs SET expires_at = ? WHERE id = ?", (written, job_id))
    if idle == "recorder":
        rows_of_other_programs.follow(db)

    assert [one.job_id for one in expiry.expire_some(db)] == [over]


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_job_is_not_tried_again_after_an_expiry_in_another_form(
    db: Database, program: Program, form: str
) -> None:
    for seconds, status in ((1800, "failed"), (7200, "pending")):
        job_id = stored(db, retry_delay=3600)
        execution = taken(db)["execution_id"]
        written = in_form(clock.after(clock.utc_now(), seconds), form)
        program.execute("UPDATE jobs SET expires_at = ? WHERE id = ?", (written, job_id))
        settle_and_claim.settle(db, execution, FAILED)

        assert status_of(db, job_id) == status


@pytest.mark.parametrize("form", FORMS)
def test_a_job_is_rescheduled_until_an_expiry_in_another_form(
    db: Database, program: sqlite3.Connection, form: str
) -> None:
    now = clock.utc_now()
    job_id = stored(db)
    written = in_form(clock.after(now, 7200), form)
    program.execute("UPDATE jobs SET expires_at = ?", (written,))
    before, later = clock.after(now, 3600), clock.after(now, 10800)

    assert reschedule(db, [job_id], lambda _: later).jobs == []
    assert reschedule(db, [job_id], lambda _: before).jobs == [job_id]


@pytest.mark.parametrize("value", ["tomorrow", "", 5, 1.5, b"\xff", "2026-13-45T00:00:00+00:00"])
@pytest.mark.parametrize("by", ["insert", "update"])
def test_a_job_whose_expiry_is_no_time_fails_with_the_reason(
    db: Database, program: Program, value: object, by: str
) -> None:
    job_id = stored(db) if by == "update" else "theirs"
    if by == "update":
        program.execute("UPDATE jobs SET expires_at = ?", (value,))
    else:
        insert(program, job_id, value)
    other = stored(db)

    assert claimed(db) == ([other], [])
    row = jobs.get(db, job_id)
    assert row is not None
    assert row["status"] == "failed"
    assert "the column expires_at of the job holds" in row["error"]


@pytest.mark.parametrize("column", ["retry_after", "expires_at"])
def test_a_time_with_a_space_is_read_like_one_with_a_t(
    db: Database, program: Program, column: str
) -> None:
    moment = clock.after(clock.utc_now(), 1)
    job_id = stored(db)
    program.execute(f"UPDATE jobs SET {column} = ?", (in_form(moment, "space"),))
    rows_of_other_programs.follow(db)

    assert program.execute(f"SELECT id, {column} FROM jobs").fetchall() == [(job_id, moment)]


def test_our_own_expiries_are_not_read_again(db: Database, program: Program) -> None:
    stored(db, expires_at=clock.after(clock.utc_now(), 60))
    program.execute("UPDATE jobs SET expires_at = ?", (clock.after(clock.utc_now(), 30),))

    assert program.execute("SELECT linked FROM jobs").fetchall() == [(1,)]


@pytest.mark.only("sqlite")
def test_a_time_that_was_written_before_the_migration_is_read_as_well(address: str) -> None:
    make_file(address, 11)
    soon = clock.after(clock.utc_now(), 3600)
    with closing(sqlite3.connect(address, isolation_level=None)) as program:
        program.execute("UPDATE jobs SET linked = 1, expires_at = ?", (in_form(soon, "west"),))
    database = Database(lambda: connections.open_connection(address))
    migrate.apply(database)
    rows_of_other_programs.follow(database)
    row = jobs.get(database, "pending")
    connections.close_connections()

    assert row is not None
    assert row["expires_at"] == soon
