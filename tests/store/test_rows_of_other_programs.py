"""SQL that GigQ 0.5.1 honoured: programs write rows of their own, and change those of others."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import COMPLETED, FAILED, FAILED_FOR_GOOD, WORKER, ran, status_of, stored, taken
from support.old_files import insert_row, job_row

from gigq.model import clock
from gigq.model.claim import ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import jobs, listing, requeue, rows_of_other_programs, settle_and_claim

if TYPE_CHECKING:
    from support.raw_sql import Program

    from gigq.store.database import Database


def insert(program: Program, job_id: str, **columns: Any) -> None:
    insert_row(program, "jobs", job_row(job_id, **columns))


def next_id(db: Database) -> str | None:
    row = settle_and_claim.claim(db, WORKER, new_id())
    return row["id"] if row else None


def test_a_new_row_waits_for_the_parents_that_it_names(db: Database, program: Program) -> None:
    parents = [stored(db, max_attempts=2), stored(db, max_attempts=2)]
    insert(program, "child", dependencies=json.dumps([*parents, parents[0]]), priority=9)
    first, second = taken(db), taken(db)

    assert {first["id"], second["id"]} == set(parents)
    assert next_id(db) is None
    assert [row["id"] for row in jobs.awaited_parents(db, "child")] == sorted(parents)

    settle_and_claim.settle(db, first["execution_id"], COMPLETED)

    assert next_id(db) is None

    settle_and_claim.settle(db, second["execution_id"], COMPLETED)

    assert next_id(db) == "child"


def test_a_new_row_is_not_taken_among_several_before_its_parent(
    db: Database, program: Program
) -> None:
    parent = stored(db)
    insert(program, "child", dependencies=json.dumps([parent]), priority=9)
    wanted = ClaimRequest(new_id(), 10, 1, lambda row: True, lambda: True)
    _, rows, _ = settle_and_claim.exchange(db, SettleBatch(), WORKER, wanted)

    assert [row["id"] for row in rows] == [parent]


def set_parents(program: Program, job_id: str, *parents: str) -> None:
    program.execute("UPDATE jobs SET dependencies = ? WHERE id = ?", (json.dumps(parents), job_id))


@pytest.mark.parametrize("by", ["gigq", "program"])
def test_a_list_of_parents_that_another_program_empties_holds_nothing_back(
    db: Database, program: Program, by: str
) -> None:
    parent = stored(db)
    if by == "gigq":
        child = stored(db, dependencies=[parent])
    else:
        insert(program, child := "child", dependencies=json.dumps([parent]))
    assert next_id(db) == parent
    set_parents(program, child)

    assert next_id(db) == child
    assert jobs.awaited_parents(db, child) == []


def test_a_parent_that_another_program_adds_is_waited_for(db: Database, program: Program) -> None:
    first, second = stored(db, priority=2), stored(db, priority=1)
    alone, child = stored(db, priority=9), stored(db, priority=9, dependencies=[first])
    set_parents(program, alone, first)
    set_parents(program, child, second)

    assert ran(db).job_id == first
    assert next_id(db) == alone
    assert ran(db).job_id == second
    assert next_id(db) == child


def test_parents_that_are_set_while_the_job_runs_are_waited_for_before_it_is_tried_again(
    db: Database, program: Program
) -> None:
    child = stored(db, priority=9, max_attempts=2)
    execution = taken(db)
    parent = stored(db)
    set_parents(program, child, parent)
    settle_and_claim.settle(db, execution["execution_id"], FAILED)

    assert ran(db).job_id == parent
    assert next_id(db) == child


def test_a_parent_that_is_done_or_not_stored_holds_nothing_back(
    db: Database, program: Program
) -> None:
    parent = stored(db)
    ran(db)
    insert(program, "child", dependencies=json.dumps([parent, "never stored"]))

    assert next_id(db) == "child"


@pytest.mark.parametrize("listed", ["not json", '{"a": 1}', "5", "[1, null]"])
def test_a_list_that_is_none_stops_nothing(db: Database, program: Program, listed: str) -> None:
    _stop_nothing(db, program, listed)


@pytest.mark.only("sqlite")
def test_a_list_that_is_no_text_stops_nothing(db: Database, program: Program) -> None:
    _stop_nothing(db, program, b"\xff")


def _stop_nothing(db: Database, program: Program, listed: object) -> None:
    insert(program, "odd", dependencies=listed)
    other = stored(db)

    assert {next_id(db), next_id(db)} == {"odd", other}


def test_a_new_row_waits_for_a_failed_parent_until_that_is_requeued(
    db: Database, program: Program
) -> None:
    parent = stored(db)
    ran(db, FAILED_FOR_GOOD)
    insert(program, "child", dependencies=json.dumps([parent]))
    before = next_id(db)
    requeue.requeue(db, [parent])

    assert before is None
    assert ran(db).job_id == parent
    assert next_id(db) == "child"


def test_a_parent_that_is_set_to_completed_releases_its_dependents(
    db: Database, program: Program
) -> None:
    parent, other = stored(db), stored(db)
    child = stored(db, dependencies=[parent])
    both = stored(db, dependencies=[parent, other])
    ran(db), ran(db, FAILED_FOR_GOOD)
    later = stored(db)
    last = stored(db, dependencies=[later])
    program.execute("UPDATE jobs SET status = 'completed' WHERE id = ?", (later,))

    assert [next_id(db), next_id(db)] == [child, last]
    assert status_of(db, both) == "failed"


def test_a_parent_that_is_deleted_releases_its_dependents(db: Database, program: Program) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    program.execute("DELETE FROM jobs WHERE id = ?", (parent,))

    assert next_id(db) == child


def test_dependents_of_a_parent_that_only_runs_go_on_waiting(
    db: Database, program: Program
) -> None:
    parent = stored(db)
    stored(db, dependencies=[parent])
    program.execute("UPDATE jobs SET status = 'running' WHERE id = ?", (parent,))

    assert next_id(db) is None


def test_a_job_that_its_parent_failed_waits_again_when_both_are_made_pending(
    db: Database, program: Program
) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], priority=9)
    ran(db, FAILED_FOR_GOOD)
    before = status_of(db, child)
    program.execute("UPDATE jobs SET status = 'pending', attempts = 0")

    assert before == "failed"
    assert ran(db).job_id == parent
    assert next_id(db) == child


@pytest.mark.usefixtures("three_hours_east")
@pytest.mark.parametrize("by", ["insert", "update"])
def test_a_time_without_a_zone_is_local(db: Database, program: Program, by: str) -> None:
    now = datetime.now()  # noqa: DTZ005 - as such programs do
    for name, late in (("due", -timedelta(seconds=1)), ("not yet", timedelta(hours=1))):
        local = (now + late).isoformat()
        insert(program, name, **({"retry_after": local} if by == "insert" else {}))
        if by == "update":
            program.execute("UPDATE jobs SET retry_after = ? WHERE id = ?", (local, name))
    row = jobs.get(db, "not yet") if next_id(db) == "due" else None

    assert row is not None
    assert row["retry_after"] == clock.to_text(now + timedelta(hours=1))
    assert next_id(db) is None
    assert settle_and_claim.next_due_at(db) == row["retry_after"]


@pytest.mark.parametrize(
    ("written", "stored_as"),
    [
        ("2099-01-01T12:00:00Z", "2099-01-01T12:00:00.000000+00:00"),
        ("2099-01-01 12:00:00+02:00", "2099-01-01T10:00:00.000000+00:00"),
        ("2099-01-01T12:00:00.000001+00:00", "2099-01-01T12:00:00.000001+00:00"),
    ],
)
def test_a_time_with_a_zone_is_the_same_time(
    db: Database, program: Program, written: str, stored_as: str
) -> None:
    stored(db)
    program.execute("UPDATE jobs SET retry_after = ?", (written,))

    assert next_id(db) is None
    assert [row["retry_after"] for row in listing.page(db)] == [stored_as]


def test_our_own_retries_are_not_read_again(db: Database, program: Program) -> None:
    stored(db, retry_delay=3600)
    settle_and_claim.settle(db, taken(db)["execution_id"], FAILED_FOR_GOOD._replace(final=False))

    assert program.execute("SELECT linked, retry_after IS NOT NULL FROM jobs").fetchall() == [
        (1, 1)
    ]


def test_a_parent_that_is_made_pending_just_before_its_dependents_are_released_holds_them(
    db: Database, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = stored(db, queue="later")
    child = stored(db, dependencies=[parent])
    program.execute("UPDATE jobs SET status = 'completed' WHERE id = ?", (parent,))
    transaction = db.transaction

    def after_a_change(*, durable: bool) -> Any:
        program.execute("UPDATE jobs SET status = 'pending' WHERE id = ?", (parent,))
        return transaction(durable=durable)

    with monkeypatch.context() as changed:
        changed.setattr(db, "transaction", after_a_change)
        rows_of_other_programs.release_done(db)

    assert [row["id"] for row in jobs.awaited_parents(db, child)] == [parent]


def test_where_asking_for_done_parents_takes_long_it_is_not_done_each_time(
    db: Database, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_of_other_programs, "_QUICK", 0.0)
    monkeypatch.setattr(rows_of_other_programs, "_SHARE", 10**9)
    parent = stored(db)
    stored(db, dependencies=[parent])
    rows_of_other_programs.release_done(db)
    program.execute("UPDATE jobs SET status = 'completed' WHERE id = ?", (parent,))

    assert rows_of_other_programs.release_done(db) is False


@pytest.mark.parametrize("parent", ["\0", "\ud800"])
def test_a_parent_that_no_database_can_store_holds_no_job_back(
    db: Database, program: Program, parent: str
) -> None:
    insert(program, "child", dependencies=json.dumps([parent]))
    other = stored(db)
    row = jobs.get(db, "child") or {}

    assert {next_id(db), next_id(db)} == {"child", other}
    assert row["dependencies"] == json.dumps([parent])
