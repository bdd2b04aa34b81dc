"""Requeueing jobs whose parents matter, and many at once."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import FAILED_FOR_GOOD, WORKER, ran, status_of, stored, taken

from gigq.model.ids import new_id
from gigq.store.verbs import batches, jobs, requeue, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database


def test_a_requeued_dependent_waits_for_the_parents_that_have_not_completed(db: Database) -> None:
    done, failed = stored(db, "done", priority=2), stored(db, "failed", priority=1)
    child = stored(db, "child", dependencies=[done, failed])
    ran(db)
    ran(db, FAILED_FOR_GOOD)

    assert requeue.requeue(db, [child, failed]).jobs == (failed, child)
    assert ran(db).job_id == failed
    assert taken(db)["id"] == child


def test_a_requeued_dependent_with_run_does_not_wait_for_a_failed_parent(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], on_parent_failure="run")
    ran(db, FAILED_FOR_GOOD)
    ran(db, FAILED_FOR_GOOD)

    assert requeue.requeue(db, [child]).jobs
    assert taken(db)["id"] == child


@pytest.mark.parametrize("policy", ["fail", "shrug"])
def test_a_dependent_of_a_failed_parent_is_refused_with_the_parent(
    db: Database, policy: str
) -> None:
    parent = stored(db, "first")
    child = stored(db, "second", dependencies=[parent], on_parent_failure=policy)
    grandchild = stored(db, "third", dependencies=[child], on_parent_failure=policy)
    ran(db, FAILED_FOR_GOOD)
    done = requeue.requeue(db, [grandchild, child])

    assert done.jobs == ()
    assert {id_: held_by.id for id_, held_by in done.refused.items()} == {
        child: parent, grandchild: child
    }  # fmt: skip
    assert (status_of(db, child), status_of(db, grandchild)) == ("failed", "failed")


def test_a_job_that_waits_by_its_policy_is_requeued_while_its_parent_has_failed(
    db: Database,
) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent], on_parent_failure="wait")
    ran(db, FAILED_FOR_GOOD)
    jobs.cancel(db, [child])

    assert requeue.requeue(db, [child]).jobs == (child,)
    assert settle_and_claim.claim(db, WORKER, new_id()) is None


def test_dependents_that_failed_because_of_a_job_come_back_with_it(db: Database) -> None:
    parent = stored(db, "first")
    child = stored(db, "second", dependencies=[parent])
    grandchild = stored(db, "third", dependencies=[child])
    other = stored(db, "another")
    ran(db, FAILED_FOR_GOOD)
    ran(db, FAILED_FOR_GOOD)

    assert requeue.requeue(db, [parent], with_dependents=True).jobs == (parent, child, grandchild)
    assert [ran(db).job_id for _ in range(3)] == [parent, child, grandchild]
    assert status_of(db, other) == "failed"


def test_dependents_come_back_also_when_the_parent_was_requeued_before(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    ran(db, FAILED_FOR_GOOD)
    requeue.requeue(db, [parent])
    ran(db)

    assert requeue.requeue(db, [parent], with_dependents=True).jobs == (child,)
    assert taken(db)["id"] == child


def test_a_dependent_that_another_parent_holds_back_is_refused(db: Database) -> None:
    mended, broken = stored(db, priority=2), stored(db, "broken", priority=1)
    child = stored(db, dependencies=[mended, broken])
    ran(db, FAILED_FOR_GOOD)
    ran(db, FAILED_FOR_GOOD)
    done = requeue.requeue(db, [mended], with_dependents=True)

    assert done.jobs == (mended,)
    assert done.refused[child].name == "broken"


def test_a_dependent_that_failed_by_itself_stays(db: Database) -> None:
    parent = stored(db, priority=1)
    child = stored(db, dependencies=[parent], on_parent_failure="run")
    ran(db, FAILED_FOR_GOOD)
    ran(db, FAILED_FOR_GOOD)

    assert requeue.requeue(db, [parent], with_dependents=True).jobs == (parent,)
    assert status_of(db, child) == "failed"


def test_more_jobs_than_one_transaction_takes_come_back_in_any_order(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_AT_ONCE", 2)
    chain = [stored(db)]
    for _ in range(6):
        chain.append(stored(db, dependencies=[chain[-1]]))
    jobs.cancel(db, chain[:1])

    assert requeue.requeue(db, reversed(chain)).jobs == tuple(chain)
    assert [ran(db).job_id for _ in chain] == chain


def tied(db: Database, *pairs: tuple[str, str]) -> None:
    """Name parents by raw SQL: each first job waits for the second."""
    with db.transaction(durable=False) as session:
        for job_id, parent in pairs:
            raw_sql.execute(
                session,
                "UPDATE jobs SET dependencies = ? WHERE id = ?",
                (json.dumps([parent]), job_id),
            )


def test_jobs_that_wait_for_each_other_in_a_circle_are_refused(db: Database) -> None:
    one, other, child, free = [stored(db) for _ in range(4)]
    jobs.cancel(db, [one, other, child, free])
    tied(db, (one, other), (other, one), (child, one))
    done = requeue.requeue(db, [child, one, other, free])

    assert done.jobs == (free,)
    assert done.in_circle == (child, one, other)


def test_a_job_that_names_itself_as_its_parent_is_refused(db: Database) -> None:
    job_id = stored(db)
    jobs.cancel(db, [job_id])
    tied(db, (job_id, job_id))

    assert requeue.requeue(db, [job_id]).in_circle == (job_id,)


def test_a_completed_job_closes_no_circle(db: Database) -> None:
    done, failed = stored(db, priority=2), stored(db)
    ran(db)
    ran(db, FAILED_FOR_GOOD)
    tied(db, (done, failed), (failed, done))

    assert requeue.requeue(db, [done, failed]).jobs == (failed,)
    assert taken(db)["id"] == failed


def test_the_search_for_dependents_ends_in_a_circle(db: Database) -> None:
    parent = stored(db)
    one = stored(db, dependencies=[parent])
    other = stored(db, dependencies=[one])
    jobs.cancel(db, [parent])
    tied(db, (one, other))
    found = [*islice(requeue._failed_because_of(db, [one]), 10)]

    assert found == [other, one]
    assert set(requeue.requeue(db, [one], with_dependents=True).in_circle) == {one, other}


def test_jobs_in_another_state_and_unknown_ones_are_named(db: Database) -> None:
    failed, pending = stored(db, priority=1), stored(db)
    ran(db, FAILED_FOR_GOOD)
    done = requeue.requeue(db, [pending, "unknown", failed])

    assert done.jobs == (failed,)
    assert done.others == {pending: "pending", "unknown": None}


def test_many_are_changed_in_few_transactions(db: Database) -> None:
    many = [stored(db) for _ in range(40)]
    begun: list[bool] = []
    transaction = db.transaction

    def counting(*, durable: bool):  # type: ignore[no-untyped-def]
        begun.append(durable)
        return transaction(durable=durable)

    db.transaction = counting  # type: ignore[method-assign]

    assert list(jobs.cancel(db, many)) == many
    assert set(requeue.requeue(db, many).jobs) == set(many)
    assert begun == [True, True]
