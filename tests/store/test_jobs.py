from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import (
    CANCELLED,
    COMPLETED,
    FAILED_FOR_GOOD,
    TIMED_OUT,
    WORKER,
    insert,
    job_row,
    ran,
    status_of,
    stored,
    taken,
)

from gigq.model import clock
from gigq.model.ids import new_id
from gigq.store.verbs import jobs, listing, requeue, settle_and_claim

if TYPE_CHECKING:
    from gigq.model.execution_result import ExecutionResult
    from gigq.store.database import Database


def count(db: Database, table: str) -> int:
    with db.read() as session:
        return int(raw_sql.execute(session, f"SELECT count(*) FROM {table}")[0][0])


def test_an_unknown_job_is_none(db: Database) -> None:
    assert jobs.get(db, "nobody") is None
    assert jobs.executions(db, "nobody") == []


def test_a_page_shows_the_newest_first_up_to_its_limit(db: Database) -> None:
    ids = [stored(db) for _ in range(5)]

    assert [row["id"] for row in listing.page(db, limit=3)] == ids[:1:-1]


def test_a_page_shows_one_status(db: Database) -> None:
    done, waiting = stored(db), stored(db)
    ran(db)

    assert [row["id"] for row in listing.page(db, listing.Filter(["completed"]))] == [done]
    assert [row["id"] for row in listing.page(db, listing.Filter(["pending"]))] == [waiting]
    assert listing.page(db, listing.Filter(["nonsense"])) == []


def test_counts_name_each_status_that_has_jobs(db: Database) -> None:
    insert(db, [job_row() for _ in range(4)])
    ran(db)
    taken(db)

    assert jobs.counts(db) == {"completed": 1, "running": 1, "pending": 2}


def test_an_unknown_status_does_not_disturb_the_readers(db: Database) -> None:
    job_id = stored(db)
    stored(db)
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = 'paused' WHERE id = ?", (job_id,))

    assert jobs.counts(db) == {"paused": 1, "pending": 1}
    assert status_of(db, job_id) == "paused"
    assert len(listing.page(db)) == 2
    assert not jobs.cancel(db, [job_id])
    assert taken(db)["id"] != job_id


def test_results_are_those_of_the_completed_jobs(db: Database) -> None:
    done, failed, waiting = (stored(db, str(n)) for n in range(3))
    ran(db)
    ran(db, FAILED_FOR_GOOD)

    assert jobs.results_of(db, [waiting, failed, done, "nobody"]) == {done: "42"}


def test_a_cancelled_job_never_starts(db: Database) -> None:
    job_id = stored(db)

    assert jobs.cancel(db, [job_id])
    assert not jobs.cancel(db, [job_id])
    assert settle_and_claim.claim(db, WORKER, new_id()) is None

    row = jobs.get(db, job_id)

    assert row is not None
    assert (row["status"], row["cause"]) == ("cancelled", "cancelled")
    assert row["completed_at"] is not None


def test_a_delayed_job_can_be_cancelled(db: Database) -> None:
    job_id = stored(db, retry_after=clock.after(clock.utc_now(), 3600))

    assert jobs.cancel(db, [job_id])
    assert settle_and_claim.next_due_at(db, None) is None


@pytest.mark.parametrize("ending", [FAILED_FOR_GOOD, TIMED_OUT, CANCELLED])
def test_a_requeued_job_starts_anew_with_no_attempt_used(
    db: Database, ending: ExecutionResult
) -> None:
    job_id = stored(db, max_attempts=1)
    ran(db, ending)

    assert requeue.requeue(db, [job_id]).jobs

    row = jobs.get(db, job_id)

    assert row is not None
    assert (row["status"], row["attempts"], row["error"]) == ("pending", 0, None)
    assert (row["completed_at"], row["started_at"], row["execution_id"]) == (None, None, None)
    assert ran(db).job_id == job_id
    assert len(jobs.executions(db, job_id)) == 2


def test_what_is_not_over_or_was_a_success_is_not_requeued(db: Database) -> None:
    done, running, pending = (stored(db) for _ in range(3))
    ran(db)
    taken(db)

    effects = requeue.requeue(db, (done, running, pending, "nobody"))
    assert (effects.jobs, effects.due_in, effects.refused) == ((), (), {})


def test_cancelling_and_requeueing_a_waiting_job_many_times_keeps_its_count(db: Database) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    for _ in range(3):
        assert jobs.cancel(db, [child])
        assert requeue.requeue(db, [child]).jobs

    assert count(db, "job_dependencies") == 1
    assert ran(db).released == 1


def test_clear_deletes_the_completed_and_cancelled_with_their_executions(db: Database) -> None:
    stored(db, "done"), stored(db, "failed")
    ran(db)
    ran(db, FAILED_FOR_GOOD)
    jobs.cancel(db, [stored(db)])
    waiting = stored(db)

    assert jobs.clear(db) == 2
    assert jobs.counts(db) == {"failed": 1, "pending": 1}
    assert count(db, "job_executions") == 1
    assert taken(db)["id"] == waiting


def test_clear_spares_what_ended_later(db: Database) -> None:
    stored(db)
    ran(db)
    between = clock.utc_now()
    late = stored(db)
    ran(db)

    assert jobs.clear(db, between) == 1
    assert [row["id"] for row in listing.page(db)] == [late]
    assert jobs.clear(db, clock.after(between, 3600)) == 1


def test_clear_takes_any_iso_time_and_refuses_what_is_none(db: Database) -> None:
    stored(db)
    ran(db)

    assert jobs.clear(db, "2020-01-01T00:00:00") == 0
    assert jobs.clear(db, "9000-01-01T00:00:00Z") == 1
    with pytest.raises(ValueError, match="soon"):
        jobs.clear(db, "soon")


def test_clear_keeps_a_parent_whose_result_may_still_be_asked_for(db: Database) -> None:
    parent = stored(db, priority=9)
    child = stored(db, dependencies=[parent])
    ran(db)

    assert jobs.clear(db) == 0

    execution_id = taken(db)["execution_id"]

    assert jobs.clear(db) == 0
    assert jobs.results_of(db, [parent]) == {parent: "42"}

    settle_and_claim.settle(db, execution_id, COMPLETED)

    assert jobs.clear(db) == 2
    assert jobs.get(db, child) is None


def test_clear_leaves_no_edge_behind(db: Database) -> None:
    parent = stored(db)
    jobs.cancel(db, [stored(db, dependencies=[parent])])

    assert jobs.clear(db) == 1
    assert count(db, "job_dependencies") == 0
    assert ran(db).released == 0


def test_clear_goes_through_more_than_one_batch(db: Database) -> None:
    rows = [job_row() for _ in range(1201)]
    insert(db, rows)
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = 'completed', completed_at = updated_at")

    assert jobs.clear(db) == 1201
    assert jobs.counts(db) == {}
