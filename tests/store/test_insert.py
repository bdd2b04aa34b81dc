from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import FAILED_FOR_GOOD, insert, job_row, ran, status_of, stored, taken

from gigq.errors import DependencyCycle, MissingParent
from gigq.store.verbs import jobs

if TYPE_CHECKING:
    from gigq.store.database import Database


def unmet(db: Database, job_id: str) -> int:
    row = jobs.get(db, job_id)
    assert row is not None
    return int(row["unmet"])


def test_a_stored_job_has_every_column_of_the_row_and_defaults_for_the_rest(db: Database) -> None:
    row = job_row(params='{"n": 1}', priority=7, timeout=1.5, queue="mail", description="d")
    row |= {"memory_limit": 2**28, "crash_limit": None}
    insert(db, [row])
    found = jobs.get(db, row["id"])

    assert found is not None
    assert {key: found[key] for key in row} == row
    assert (found["status"], found["attempts"], found["max_attempts"]) == ("pending", 0, 3)
    assert (found["unmet"], found["retry_delay"], found["on_parent_failure"]) == (0, 0, "fail")
    assert found["result"] is found["error"] is found["started_at"] is None


def test_a_batch_returns_its_ids_in_order(db: Database) -> None:
    rows = [job_row() for _ in range(5)]

    assert insert(db, rows) == [row["id"] for row in rows]


def test_no_time_limit_is_stored_as_none(db: Database) -> None:
    assert jobs.get(db, stored(db, timeout=None))["timeout"] is None  # type: ignore[index]


def test_submitting_the_same_id_again_changes_nothing(db: Database) -> None:
    row = job_row("first")
    insert(db, [row])
    before = jobs.get(db, row["id"])
    again = insert(db, [{**row, "name": "second", "priority": 9, "dependencies": ["none"]}])

    assert again == [row["id"]]
    assert jobs.get(db, row["id"]) == before


def test_submitting_a_finished_job_again_does_not_start_it_again(db: Database) -> None:
    row = job_row()
    insert(db, [row])
    ran(db)
    insert(db, [row])

    assert status_of(db, row["id"]) == "completed"


def test_a_missing_parent_is_named_and_nothing_of_the_batch_is_stored(db: Database) -> None:
    rows = [job_row("good"), job_row("orphan", dependencies=["nobody"])]

    with pytest.raises(MissingParent, match=r"'orphan' .*'nobody'.* submit the parent first"):
        insert(db, rows)
    assert jobs.counts(db) == {}


@pytest.mark.parametrize("order", [1, -1])
def test_parents_may_stand_anywhere_in_the_batch(db: Database, order: int) -> None:
    parent = job_row("parent")
    child = job_row("child", dependencies=json.dumps([parent["id"]]))
    insert(db, [parent, child][::order])

    assert (unmet(db, parent["id"]), unmet(db, child["id"])) == (0, 1)


def test_a_parent_named_twice_is_waited_for_once(db: Database) -> None:
    parent = stored(db, "parent")
    child = stored(db, "child", dependencies=[parent, parent])
    ran(db)

    assert taken(db)["id"] == child


def test_a_completed_parent_is_not_waited_for(db: Database) -> None:
    parent = stored(db)
    ran(db)

    assert unmet(db, stored(db, dependencies=[parent])) == 0


def test_a_running_parent_is_waited_for(db: Database) -> None:
    parent = taken_id = stored(db)
    assert taken(db)["id"] == taken_id

    assert unmet(db, stored(db, dependencies=[parent])) == 1


@pytest.mark.parametrize(
    ("policy", "status", "waits_for"),
    [("fail", "failed", 0), ("run", "pending", 0), ("wait", "pending", 1)],
)
def test_a_parent_that_has_failed_already_meets_the_policy_at_once(
    db: Database, policy: str, status: str, waits_for: int
) -> None:
    parent = stored(db, "parent")
    ran(db, FAILED_FOR_GOOD)
    child = stored(db, "child", dependencies=[parent], on_parent_failure=policy)

    assert (status_of(db, child), unmet(db, child)) == (status, waits_for)


@pytest.mark.parametrize("order", [1, -1])
def test_a_job_cut_off_at_its_submission_cuts_off_its_batch(db: Database, order: int) -> None:
    failed = stored(db, "failed")
    ran(db, FAILED_FOR_GOOD)
    middle = job_row("middle", dependencies=[failed])
    last = job_row("last", dependencies=[middle["id"]])
    insert(db, [middle, last][::order])
    found = jobs.get(db, last["id"])

    assert found is not None
    assert (found["status"], found["cause"]) == ("failed", "parent")
    assert "'middle'" in found["error"]


def test_jobs_that_wait_for_each_other_are_refused_by_name(db: Database) -> None:
    one, two = job_row("one"), job_row("two")
    one["dependencies"], two["dependencies"] = [two["id"]], [one["id"]]

    with pytest.raises(DependencyCycle, match=r"'(one|two)' -> '(one|two)'"):
        insert(db, [one, two])
    assert jobs.counts(db) == {}


def test_a_job_that_waits_for_itself_is_refused(db: Database) -> None:
    row = job_row()

    with pytest.raises(DependencyCycle):
        insert(db, [{**row, "dependencies": [row["id"]]}])


def test_a_chain_of_thousands_is_stored_at_once(db: Database) -> None:
    rows = [job_row(str(number)) for number in range(3000)]
    for parent, child in itertools.pairwise(rows):
        child["dependencies"] = [parent["id"]]
    insert(db, rows[::-1])

    assert jobs.counts(db) == {"pending": 3000}
    assert taken(db)["id"] == rows[0]["id"]


def test_a_parent_of_unknown_status_is_waited_for(db: Database) -> None:
    parent = stored(db)
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = 'paused'")

    assert unmet(db, stored(db, dependencies=[parent])) == 1


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_rows_with_one_id_the_first_is_stored_with_its_parents_alone(
    db: Database, order: int
) -> None:
    parent = job_row("parent")
    free = job_row("free")
    waiting = {**free, "name": "waiting", "dependencies": [parent["id"]]}
    insert(db, [parent, *[free, waiting][::order]])
    row = jobs.get(db, free["id"])

    assert row is not None
    assert (row["name"], row["unmet"]) == (("free", 0) if order == 1 else ("waiting", 1))
    assert unmet(db, free["id"]) == edges_to(db, free["id"])


def test_a_known_id_in_a_batch_gets_no_edges_to_the_parents_it_names_now(db: Database) -> None:
    known, parent = job_row("known"), job_row("parent")
    insert(db, [known])
    child = job_row("child", dependencies=[parent["id"]])
    insert(db, [parent, {**known, "dependencies": [parent["id"]]}, child])

    assert (unmet(db, known["id"]), edges_to(db, known["id"])) == (0, 0)
    assert (unmet(db, child["id"]), edges_to(db, child["id"])) == (1, 1)


def edges_to(db: Database, job_id: str) -> int:
    with db.read() as session:
        found = raw_sql.execute(
            session, "SELECT count(*) FROM job_dependencies WHERE job_id = ?", (job_id,)
        )
    return int(found[0][0])
