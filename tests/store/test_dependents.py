from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FAILED_FOR_GOOD,
    WORKER,
    insert,
    job_row,
    ran,
    status_of,
    stored,
    taken,
)

from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.verbs import dependents, jobs, requeue, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.database import Database

TIMED_OUT_FOR_GOOD = ExecutionResult(JobStatus.TIMEOUT, final=True)


def test_a_completed_parent_releases_its_dependents(db: Database) -> None:
    parent = stored(db, "parent")
    children = [stored(db, "child", dependencies=[parent]) for _ in range(3)]
    settled = ran(db)

    assert settled.released == 3
    assert [taken(db)["id"] for _ in range(3)] == children


def test_a_parent_that_will_be_tried_again_changes_nothing_for_its_dependents(
    db: Database,
) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    settled = ran(db, FAILED)

    assert (settled.released, settled.failed_dependents, status_of(db, child)) == (0, (), "pending")


@pytest.mark.parametrize("ending", [FAILED_FOR_GOOD, TIMED_OUT_FOR_GOOD, CANCELLED])
def test_a_parent_ended_without_success_fails_its_dependents_by_default(
    db: Database, ending: ExecutionResult
) -> None:
    parent = stored(db, "parent")
    child = stored(db, "child", dependencies=[parent])
    grandchild = stored(db, "grandchild", dependencies=[child])
    settled = ran(db, ending)
    rows = [jobs.get(db, job_id) for job_id in (child, grandchild)]

    assert [one.job_id for one in settled.failed_dependents] == [child, grandchild]
    for row, culprit in zip(rows, ("parent", "child"), strict=True):
        assert row is not None
        assert (row["status"], row["cause"], row["unmet"]) == ("failed", "parent", 0)
        assert row["error"].startswith(f"parent job {culprit!r}")
        assert row["completed_at"] is not None


def test_with_run_the_dependent_runs_all_the_same(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], on_parent_failure="run")
    settled = ran(db, FAILED_FOR_GOOD)

    assert settled.released == 1
    assert taken(db)["id"] == child


def test_with_wait_the_dependent_runs_once_the_parent_was_requeued(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], on_parent_failure="wait")
    ran(db, FAILED_FOR_GOOD)

    assert settle_and_claim.claim(db, WORKER, new_id()) is None
    assert status_of(db, child) == "pending"
    assert requeue.requeue(db, [parent]).jobs
    assert ran(db).released == 1
    assert taken(db)["id"] == child


def test_an_unknown_policy_is_taken_for_the_default(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], on_parent_failure="shrug")
    ran(db, FAILED_FOR_GOOD)

    assert status_of(db, child) == "failed"


def test_cancelling_a_parent_meets_the_policies_too(db: Database) -> None:
    parent = stored(db)
    policies = {
        policy: stored(db, dependencies=[parent], on_parent_failure=policy)
        for policy in ("fail", "run", "wait")
    }

    assert jobs.cancel(db, [parent])
    assert status_of(db, policies["fail"]) == "failed"
    assert taken(db)["id"] == policies["run"]
    assert settle_and_claim.claim(db, WORKER, new_id()) is None


def test_a_cut_off_dependent_is_not_revived_by_its_other_parent(db: Database) -> None:
    bad, good = stored(db, "bad", priority=2), stored(db, "good", priority=1)
    child = stored(db, "child", dependencies=[bad, good])
    ran(db, FAILED_FOR_GOOD)
    settled = ran(db)

    assert (settled.job_id, settled.released) == (good, 0)
    assert status_of(db, child) == "failed"


def test_a_diamond_fails_its_end_once(db: Database) -> None:
    top = stored(db, "top")
    sides = [stored(db, f"side {n}", dependencies=[top]) for n in range(20)]
    end = stored(db, "end", dependencies=sides)
    settled = ran(db, FAILED_FOR_GOOD)

    assert sorted(one.job_id for one in settled.failed_dependents) == sorted([*sides, end])


def test_a_cancelled_dependent_stays_cancelled_whatever_its_parent_does(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    jobs.cancel(db, [child])
    settled = ran(db)

    assert settled.released == 0
    assert status_of(db, child) == "cancelled"


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("breadth", [1, 40])
def test_a_failure_runs_down_thousands_of_dependents_with_work_in_proportion(
    db: Database, breadth: int
) -> None:
    def work(length: int) -> int:
        insert(db, _chain(length, breadth))
        execution_id = taken(db)["execution_id"]
        with _counted(db) as ticks:
            settled = settle_and_claim.settle(db, execution_id, FAILED_FOR_GOOD)
        assert settled is not None
        assert len(settled.failed_dependents) == length - 1
        return len(ticks)

    short, long = work(200), work(1200)

    assert long < 9 * short, "six times the jobs; a quadratic walk would be 36 times the work"


@pytest.mark.only("sqlite")
def test_a_job_is_released_by_the_last_of_thousands_of_parents_with_work_in_proportion(
    db: Database,
) -> None:
    def work(parents: int) -> int:
        rows = [job_row() for _ in range(parents)]
        child = stored(db, dependencies=insert(db, rows))
        with _counted(db) as ticks, db.transaction(durable=False) as session:
            released = [dependents.release(session, str(row["id"])) for row in rows]
        assert released == [()] * (parents - 1) + [("default",)]
        assert jobs.cancel(db, [child])
        return len(ticks)

    short, long = work(500), work(3000)

    assert long < 9 * short, "six times the parents"


def test_a_job_is_written_once_however_many_parents_it_waits_for(db: Database) -> None:
    parents = insert(db, [job_row() for _ in range(9)])
    child = stored(db, dependencies=parents)
    failed_dependents = stored(db, dependencies=parents)
    jobs.cancel(db, [failed_dependents])
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "CREATE TEMP TABLE written (id TEXT)")
        raw_sql.on_update(session, "jobs", "INSERT INTO written VALUES (new.id)")
        released = [dependents.release(session, parent) for parent in parents]
        written = raw_sql.execute(session, "SELECT id FROM written")

    assert released == [()] * 8 + [("default",)]
    assert sorted(row[0] for row in written) == sorted([child, failed_dependents])
    assert taken(db)["id"] == parents[0]


@pytest.mark.parametrize("policy", ["fail", "run"])
def test_a_parent_that_failed_is_not_the_only_one_that_a_job_waits_for(
    db: Database, policy: str
) -> None:
    bad, good = stored(db, priority=2), stored(db, priority=1)
    child = stored(db, dependencies=[bad, good], on_parent_failure=policy, priority=3)
    settled = ran(db, FAILED_FOR_GOOD)

    assert (settled.job_id, settled.released) == (bad, 0)
    assert taken(db)["id"] == good
    assert status_of(db, child) == ("pending" if policy == "run" else "failed")


@contextmanager
def _counted(db: Database) -> Iterator[list[int]]:
    """One entry for every hundred instructions of the database's virtual machine."""
    ticks: list[int] = []
    with db.read() as session:
        connection = session.connection
    connection.set_progress_handler(lambda: ticks.append(1), 100)
    yield ticks
    connection.set_progress_handler(None, 0)


def _chain(length: int, breadth: int) -> list[dict[str, object]]:
    rows = [job_row() for _ in range(length)]
    for number, row in enumerate(rows[1:], 1):
        row["dependencies"] = [rows[max(0, number - breadth)]["id"]]
    return rows


def test_parent_and_dependents_move_together_or_not_at_all(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    execution_id = taken(db)["execution_id"]
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "CREATE UNIQUE INDEX refuse ON jobs (unmet)")

    with pytest.raises(Exception, match=r"(?i)unique"):
        settle_and_claim.settle(db, execution_id, COMPLETED)
    assert (status_of(db, parent), status_of(db, child)) == ("running", "pending")
    assert jobs.executions(db, parent)[0]["status"] == "running"
