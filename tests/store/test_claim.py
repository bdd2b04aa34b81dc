from __future__ import annotations

from typing import TYPE_CHECKING

from support.ledger import COMPLETED, WORKER, insert, job_row, ran, stored, swapped, taken
from support.set_clock import set_clock

from gigq.model import clock
from gigq.model.claim import Claim, Claimant
from gigq.model.ids import new_id
from gigq.store.verbs import jobs, settle_and_claim

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pytest

    from gigq.store.database import Database, Session


def serving(*queues: str) -> Claimant:
    return Claimant("worker-q", "worker:9", queues)


def order_of(db: Database, claimant: Claimant = WORKER) -> list[str]:
    names = []
    while row := settle_and_claim.claim(db, claimant, new_id()):
        names.append(row["name"])
    return names


def durability_of(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collects, for every write transaction from now on, whether it was a durable one."""
    levels: list[bool] = []
    real = db.transaction

    def noting(*, durable: bool) -> AbstractContextManager[Session]:
        levels.append(durable)
        return real(durable=durable)

    monkeypatch.setattr(db, "transaction", noting)
    return levels


def test_nothing_due_is_an_outcome(db: Database) -> None:
    assert settle_and_claim.claim(db, WORKER, new_id()) is None


def test_a_claimed_job_is_running_under_the_execution_id(db: Database) -> None:
    job_id = stored(db)
    row = settle_and_claim.claim(db, WORKER, "e1")
    (execution,) = jobs.executions(db, job_id)

    assert row is not None
    assert row == jobs.get(db, job_id)
    assert (row["status"], row["execution_id"], row["attempts"]) == ("running", "e1", 1)
    assert (row["worker_id"], row["started_at"]) == (WORKER.worker_id, execution["started_at"])
    assert (execution["id"], execution["status"], execution["attempt"]) == ("e1", "running", 1)
    assert (execution["worker_id"], execution["run"]) == (WORKER.worker_id, WORKER.run)
    assert Claim.from_row(row).execution_id == "e1"


def test_priority_comes_before_age_and_age_before_all_else(db: Database) -> None:
    insert(db, [job_row("old"), job_row("low", priority=-1), job_row("new")])
    insert(db, [job_row("high", priority=5), job_row("high, newer", priority=5)])

    assert order_of(db) == ["high", "high, newer", "old", "new", "low"]


def test_a_released_dependent_stands_in_the_same_order_as_everybody(db: Database) -> None:
    parent = stored(db, "parent", priority=9)
    stored(db, "old and free")
    stored(db, "urgent dependent", priority=5, dependencies=[parent])
    stored(db, "new and free")
    ran(db)

    assert order_of(db) == ["urgent dependent", "old and free", "new and free"]


def test_a_dependent_is_not_due_before_its_last_parent(db: Database) -> None:
    parents = [stored(db, f"parent {number}", priority=9) for number in range(3)]
    stored(db, "child", dependencies=parents)
    names = []
    for _ in range(4):
        row = taken(db)
        names.append(row["name"])
        settle_and_claim.settle(db, row["execution_id"], COMPLETED)

    assert names == ["parent 0", "parent 1", "parent 2", "child"]


def test_one_queue_is_served_alone(db: Database) -> None:
    insert(db, [job_row("a", queue="a"), job_row("b", queue="b", priority=9)])

    assert order_of(db, serving("a")) == ["a"]


def test_several_queues_share_one_order(db: Database) -> None:
    rows = [job_row("a1", queue="a"), job_row("b1", queue="b"), job_row("c", queue="c", priority=9)]
    insert(db, [*rows, job_row("a2", queue="a"), job_row("b2", queue="b", priority=1)])

    assert order_of(db, serving("b", "a")) == ["b2", "a1", "b1", "a2"]


def test_every_queue_is_served_in_one_order_whatever_its_name(db: Database) -> None:
    queues = ["", "default", "z", "é", "a b"]
    insert(db, [job_row(queue, queue=queue) for queue in queues])
    insert(db, [job_row("first", queue="m", priority=1)])

    assert order_of(db) == ["first", *queues]


def test_no_queue_at_all_serves_nothing(db: Database) -> None:
    stored(db)

    assert order_of(db, serving()) == []


def test_a_delayed_job_is_due_at_its_time_and_not_before(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_at = clock.after(clock.utc_now(), 3600)
    stored(db, retry_after=due_at, priority=9)
    plain = stored(db)

    assert taken(db)["id"] == plain
    assert settle_and_claim.claim(db, WORKER, new_id()) is None
    assert settle_and_claim.next_due_at(db, None) == due_at

    set_clock(monkeypatch, lambda: due_at)

    assert taken(db)["priority"] == 9
    assert settle_and_claim.next_due_at(db, None) is None


def test_delayed_jobs_that_are_due_stand_in_the_common_order(db: Database) -> None:
    past = clock.after(clock.utc_now(), -1)
    insert(db, [job_row("plain"), job_row("urgent", priority=1, retry_after=past)])

    assert order_of(db) == ["urgent", "plain"]


def test_the_next_time_is_known_for_each_queue(db: Database) -> None:
    soon, later = (clock.after(clock.utc_now(), seconds) for seconds in (100, 200))
    insert(db, [job_row(queue="a", retry_after=later), job_row(queue="b", retry_after=soon)])

    assert settle_and_claim.next_due_at(db, None) == soon
    assert settle_and_claim.next_due_at(db, ("a",)) == later
    assert settle_and_claim.next_due_at(db, ("c",)) is None


def test_a_delayed_dependent_waits_for_both(db: Database) -> None:
    parent = stored(db)
    stored(db, "child", dependencies=[parent], retry_after=clock.after(clock.utc_now(), 3600))

    assert settle_and_claim.next_due_at(db, None) is None

    ran(db)

    assert settle_and_claim.next_due_at(db, None) is not None
    assert settle_and_claim.claim(db, WORKER, new_id()) is None


def test_a_job_with_a_single_attempt_is_claimed_durably(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(db, max_attempts=1)
    levels = durability_of(db, monkeypatch)
    row = taken(db)

    assert levels == [False, True]
    assert row["attempts"] == 1
    assert len(jobs.executions(db, row["id"])) == 1


def test_a_durable_database_claims_a_job_with_a_single_attempt_at_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.durable = True
    stored(db, max_attempts=1)
    levels = durability_of(db, monkeypatch)
    taken(db)

    assert levels == [True]


def test_settling_and_claiming_travel_in_one_transaction(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stored(db), stored(db)
    done = taken(db)
    levels = durability_of(db, monkeypatch)
    settled, row = swapped(db, done)

    assert settled is not None
    assert row is not None
    assert (settled.job_id, row["id"], levels) == (first, second, [False])


def test_an_exchange_may_claim_the_dependent_that_it_released(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], max_attempts=1)
    settled, row = swapped(db, taken(db))

    assert settled is not None
    assert row is not None
    assert (settled.released, row["id"]) == (1, child)
