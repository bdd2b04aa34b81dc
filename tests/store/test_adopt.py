from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql
from support.ledger import COMPLETED, WORKER, stored, taken
from support.set_clock import set_clock

from gigq.model import clock
from gigq.model.claim import Claim, Claimant
from gigq.model.ids import new_id
from gigq.store.verbs import jobs, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

LONG_AGO = "2026-01-01T00:00:00.000000+00:00"
DAEMON = Claimant("slot-1", "gigqd:1")


def foreign(db: Database, sql: str, *values: Any) -> None:
    """What a subclass's own SQL does to the tables."""
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, sql, values)


def mark_running(db: Database, job_id: str, started_at: str | None = None) -> None:
    foreign(
        db,
        "UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = ?, "
        "worker_id = 'mine' WHERE id = ?",
        started_at or clock.utc_now(),
        job_id,
    )


def test_a_job_marked_running_by_foreign_sql_is_adopted_and_settled(db: Database) -> None:
    job_id = stored(db)
    mark_running(db, job_id)
    row = settle_and_claim.adopt(db, job_id, "e1", WORKER)
    (execution,) = jobs.executions(db, job_id)

    assert row is not None
    assert Claim.from_row(row).attempt == 1
    assert (execution["id"], execution["run"], execution["attempt"]) == ("e1", WORKER.run, 1)
    assert settle_and_claim.settle(db, "e1", COMPLETED) is not None


@pytest.mark.parametrize("execution_id", ["theirs", "another"])
def test_the_execution_that_foreign_sql_opened_is_taken_over(
    db: Database, execution_id: str
) -> None:
    job_id = stored(db)
    mark_running(db, job_id)
    foreign(
        db,
        "INSERT INTO job_executions (id, job_id, worker_id, status, started_at) "
        "VALUES ('theirs', ?, 'mine', 'running', ?)",
        job_id,
        LONG_AGO,
    )
    settle_and_claim.adopt(db, job_id, execution_id, WORKER)
    (execution,) = jobs.executions(db, job_id)

    assert (execution["id"], execution["run"]) == (execution_id, WORKER.run)
    assert settle_and_claim.settle(db, execution_id, COMPLETED) is not None


def test_a_due_job_that_was_only_picked_is_claimed_by_its_adoption(db: Database) -> None:
    job_id = stored(db)
    row = settle_and_claim.adopt(db, job_id, "e1", WORKER)

    assert row is not None
    assert (row["status"], row["attempts"], row["worker_id"]) == ("running", 1, WORKER.worker_id)
    assert settle_and_claim.settle(db, "e1", COMPLETED) is not None


def test_a_claim_of_ours_is_its_own_adoption(db: Database) -> None:
    stored(db)
    row = taken(db)
    adopted = settle_and_claim.adopt(db, row["id"], row["execution_id"], WORKER)

    assert adopted is not None
    assert adopted["attempts"] == 1
    assert len(jobs.executions(db, row["id"])) == 1


def test_what_somebody_else_has_or_what_waits_is_not_adopted(db: Database) -> None:
    parent = stored(db)
    waiting = stored(db, dependencies=[parent])
    taken(db)

    assert settle_and_claim.adopt(db, parent, new_id(), WORKER) is None
    assert settle_and_claim.adopt(db, waiting, new_id(), WORKER) is None
    assert settle_and_claim.adopt(db, "nobody", new_id(), WORKER) is None


def test_overdue_are_the_plain_workers_executions_past_their_timeout(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, endless, daemons = (
        stored(db, timeout=10),
        stored(db, timeout=None),
        stored(db, timeout=1),
    )
    for claimant in (WORKER, WORKER, DAEMON):
        taken(db, claimant)

    assert settle_and_claim.overdue(db) == []

    later = clock.after(clock.utc_now(), 11)
    set_clock(monkeypatch, lambda: later)

    assert [row["job_id"] for row in settle_and_claim.overdue(db)] == [short]
    assert {row["job_id"] for row in settle_and_claim.open_executions(db)} == {
        short,
        endless,
        daemons,
    }


@pytest.mark.parametrize("timeout", [60, None])
def test_a_stray_running_job_gets_an_execution_once_it_is_overdue(
    db: Database, timeout: int | None
) -> None:
    fresh, stale = stored(db, timeout=timeout), stored(db, timeout=timeout)
    mark_running(db, fresh)
    mark_running(db, stale, LONG_AGO)
    (overdue,) = settle_and_claim.overdue(db)

    assert (overdue["job_id"], overdue["started_at"]) == (stale, LONG_AGO)
    assert settle_and_claim.settle(db, overdue["execution_id"], COMPLETED) is not None
    assert settle_and_claim.overdue(db) == []
