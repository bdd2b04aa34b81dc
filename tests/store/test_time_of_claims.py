"""The time of a claim, whose transaction may begin before other ones end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support import stores
from support.ledger import FAILED, WORKER, stored, taken

from gigq.model.claim import ClaimRequest
from gigq.model.ids import new_id
from gigq.store.verbs import claim, jobs, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database


@pytest.mark.only("postgres")
@pytest.mark.parametrize("most", [1, 2])
def test_an_attempt_begins_after_the_end_that_another_transaction_records_before(
    db: Database, address: str, most: int
) -> None:
    ids = [stored(db) for _ in range(most)]
    first = [taken(db)["execution_id"] for _ in ids]

    def end_all() -> None:
        other = stores.database_at(address)
        for execution_id in first:
            settle_and_claim.settle(other, execution_id, FAILED)

    with db.transaction(durable=False) as session, ThreadPoolExecutor(1) as thread:
        thread.submit(end_all).result()
        request = ClaimRequest(new_id(), most, fits=lambda _row: True)
        claimed = claim.take(session, WORKER, request, durable=True)

    assert len(claimed) == most
    for job_id in ids:
        before, after = sorted(jobs.executions(db, job_id), key=lambda one: one["attempt"])
        assert before["completed_at"] <= after["started_at"]
        assert after["started_at"] == (jobs.get(db, job_id) or {})["started_at"]
