from __future__ import annotations

from typing import TYPE_CHECKING

from support.ledger import insert, job_row, stored, taken

from gigq.model import clock
from gigq.store.verbs import listing, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database


def test_a_page_shows_one_queue(db: Database) -> None:
    insert(db, [job_row("a", queue="a"), job_row("b", queue="b")])
    taken(db)

    assert [row["name"] for row in listing.page(db, listing.Filter(queues=["b"]))] == ["b"]
    assert [row["name"] for row in listing.page(db, listing.Filter(["running"], ["a"]))] == ["a"]
    assert listing.page(db, listing.Filter(["running"], ["b"])) == []


def test_something_is_due_while_a_claim_would_find_it(db: Database) -> None:
    assert not settle_and_claim.anything_due(db)

    parent = stored(db)
    stored(db, dependencies=[parent])
    stored(db, retry_after=clock.after(clock.utc_now(), 3600))

    assert settle_and_claim.anything_due(db)

    taken(db)

    assert not settle_and_claim.anything_due(db)
