"""Claims, due times and looks of a worker that serves every queue but some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import insert, job_row, stored, taken

from gigq.model import clock
from gigq.model.claim import Claimant, ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

REST = ("*", "!etl", "!mail")
LATER, LATEST = "2999-01-01T00:00:00.000000+00:00", "2999-01-02T00:00:00.000000+00:00"


def rest(queues: tuple[str, ...] = REST) -> Claimant:
    return Claimant("worker", "worker:1", queues)


def queues_claimed(db: Database, claimant: Claimant) -> list[str]:
    found = []
    while row := settle_and_claim.claim(db, claimant, new_id()):
        found.append(row["queue"])
    return found


def test_the_best_job_of_the_other_queues_is_claimed(db: Database) -> None:
    for queue, priority in [("etl", 9), ("a", 1), ("mail", 8), ("z", 2), ("default", 0)]:
        stored(db, queue=queue, priority=priority)

    assert queues_claimed(db, rest()) == ["z", "a", "default"]
    assert queues_claimed(db, Claimant("worker", "worker:1")) == ["etl", "mail"]


def test_several_at_once_are_taken_from_the_other_queues_only(db: Database) -> None:
    insert(db, [job_row(queue=queue) for queue in ("etl", "a", "mail", "b", "etl", "a")])
    rows = settle_and_claim.exchange(db, SettleBatch(), rest(), ClaimRequest(new_id(), most=8))[1]

    assert [row["queue"] for row in rows] == ["a", "b", "a"]


@pytest.mark.only("sqlite")
def test_a_queue_whose_name_is_no_text_is_one_of_the_others(db: Database) -> None:
    stored(db, queue="etl")
    odd = stored(db)
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET queue = x'00ff' WHERE id = ?", (odd,))

    assert taken(db, rest())["id"] == odd
    assert settle_and_claim.claim(db, rest(), new_id()) is None


@pytest.mark.parametrize(
    ("queues", "due", "at"),
    [
        (None, True, LATER),
        (("*", "!etl"), True, LATEST),
        (("*", "!etl", "!a"), False, None),
        (("a", "b"), True, LATEST),
        (("etl",), False, LATER),
        (("b",), False, None),
    ],
)
def test_looks_see_the_served_queues_only(
    db: Database, queues: tuple[str, ...] | None, due: bool, at: str | None
) -> None:
    stored(db, queue="a")
    stored(db, queue="etl", retry_after=LATER)
    stored(db, queue="a", retry_after=LATEST)

    assert settle_and_claim.anything_due(db, queues) is due
    assert settle_and_claim.next_due_at(db, queues) == at
    assert settle_and_claim.next_due_at(db, queues, after=LATEST) is None


def test_the_queues_of_due_and_of_delayed_jobs_are_known(db: Database) -> None:
    past = clock.after(clock.utc_now(), -5)
    for queue in ("a", "a", "b"):
        stored(db, queue=queue)
    for queue, at in (("c", past), ("c", past), ("d", LATER)):
        stored(db, queue=queue, retry_after=at)

    assert settle_and_claim.queues_with_due_jobs(db) == ["a", "b"]
    assert settle_and_claim.queues_with_delayed_jobs(db, clock.utc_now()) == ["c"]


@pytest.mark.only("sqlite")
def test_a_claim_costs_the_same_however_deep_the_other_queues_are(db: Database) -> None:
    def work() -> int:
        ticks: list[int] = []
        stored(db, queue="a")
        with db.read() as session:
            connection = session.connection
        connection.set_progress_handler(lambda: ticks.append(1), 10)
        row = taken(db, rest())
        connection.set_progress_handler(None, 0)
        assert row["queue"] == "a"
        return len(ticks)

    insert(db, [job_row(queue=queue) for queue in ("etl", "mail")])
    work()
    alone = work()
    insert(db, [job_row(queue=queue) for queue in ("etl", "mail") for _ in range(2000)])

    assert work() <= alone * 1.2
