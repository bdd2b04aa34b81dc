from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql
from support.ledger import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FAILED_FOR_GOOD,
    STOPPED,
    TIMED_OUT,
    WORKER,
    over,
    ran,
    status_of,
    stored,
    taken,
)

from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.claim import SettleBatch
from gigq.model.execution_result import ExecutionResult, Interruption, PostMortem
from gigq.model.ids import new_id
from gigq.model.job_status import TRANSITIONS, JobStatus
from gigq.store.verbs import jobs, listing, requeue, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

ENDINGS = [COMPLETED, FAILED, FAILED_FOR_GOOD, TIMED_OUT, STOPPED, CANCELLED]


def everything(db: Database) -> list[Any]:
    rows = listing.page(db, limit=-1)
    return [rows, [jobs.executions(db, row["id"]) for row in rows]]


def job(db: Database, job_id: str) -> dict[str, Any]:
    row = jobs.get(db, job_id)
    assert row is not None
    return row


def test_a_completed_job_has_its_result_and_nobody_working_on_it(db: Database) -> None:
    job_id = stored(db)
    settled = ran(db)
    row, (execution,) = job(db, job_id), jobs.executions(db, job_id)

    assert (settled.job_id, settled.job_status, settled.attempt) == (job_id, JobStatus.COMPLETED, 1)
    assert (row["status"], row["result"], row["error"]) == ("completed", "42", None)
    assert (row["worker_id"], row["cause"]) == (None, None)
    assert row["completed_at"] == execution["completed_at"] >= row["started_at"]
    assert (execution["status"], execution["result"]) == ("completed", "42")
    assert execution["worker_id"] == WORKER.worker_id


def test_success_after_a_failure_leaves_no_error_on_the_job(db: Database) -> None:
    job_id = stored(db)
    ran(db, FAILED)
    ran(db)
    row = job(db, job_id)

    assert (row["status"], row["error"], row["cause"], row["attempts"]) == (
        "completed",
        None,
        None,
        2,
    )
    assert [e["status"] for e in jobs.executions(db, job_id)] == ["failed", "completed"]


def test_a_failed_attempt_makes_the_job_pending_with_its_error(db: Database) -> None:
    job_id = stored(db)
    settled = ran(db, FAILED)
    row, (execution,) = job(db, job_id), jobs.executions(db, job_id)

    assert (settled.job_status, settled.attempt, settled.max_attempts) == (JobStatus.PENDING, 1, 3)
    assert (row["status"], row["error"], row["cause"]) == ("pending", FAILED.error, "error")
    assert (row["execution_id"], row["worker_id"], row["completed_at"]) == (None, None, None)
    assert (execution["status"], execution["error"], execution["cause"]) == (
        "failed",
        FAILED.error,
        "error",
    )


def test_a_retry_waits_for_its_delay(db: Database) -> None:
    job_id = stored(db, retry_delay=60)
    settled = ran(db, FAILED)

    assert settled.retry_after == job(db, job_id)["retry_after"] > clock.utc_now()
    assert settle_and_claim.claim(db, WORKER, new_id()) is None


@pytest.mark.parametrize(("ending", "status"), [(FAILED, "failed"), (TIMED_OUT, "timeout")])
def test_the_attempts_are_used_up_and_never_exceeded(
    db: Database, ending: ExecutionResult, status: str
) -> None:
    job_id = stored(db, max_attempts=2)
    ran(db, ending)
    ran(db, ending)
    row = job(db, job_id)

    assert (row["status"], row["attempts"]) == (status, 2)
    assert row["completed_at"] is not None
    assert settle_and_claim.claim(db, WORKER, new_id()) is None


def test_an_orderly_stop_gives_the_attempt_back_three_times(db: Database) -> None:
    job_id = stored(db, max_attempts=2, retry_delay=60)
    for refunds in (1, 2, 3):
        settled = ran(db, STOPPED)
        row = job(db, job_id)

        assert (settled.job_status, settled.attempt) == (JobStatus.PENDING, 0)
        assert (row["refunds"], row["attempts"], row["retry_after"]) == (refunds, 0, None)
    settled = ran(db, STOPPED)

    assert (settled.job_status, settled.attempt) == (JobStatus.PENDING, 1)


def test_what_is_known_about_a_dead_process_is_kept_with_the_execution(db: Database) -> None:
    job_id = stored(db)
    known = PostMortem(-11, "SIGSEGV", "stack", "last words", 1024, 2.5, 3.5, 0.04, 7, "note")
    ran(
        db,
        ExecutionResult(JobStatus.FAILED, error="killed", cause=Cause.CRASHED, post_mortem=known),
    )
    (execution,) = jobs.executions(db, job_id)

    assert (execution["exit_code"], execution["signal"]) == (-11, "SIGSEGV")
    assert (execution["stack"], execution["output"]) == ("stack", "last words")
    assert (execution["peak_rss"], execution["cpu_time"], execution["note"]) == (1024, 2.5, "note")
    assert (execution["wall_time"], execution["late"], execution["killed"]) == (3.5, 0.04, 7)
    assert job(db, job_id)["crashes"] == 1


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_an_unknown_execution_changes_nothing(db: Database, ending: ExecutionResult) -> None:
    stored(db)
    taken(db)
    before = everything(db)

    assert settle_and_claim.settle(db, "nobody", ending) is None
    assert everything(db) == before


@pytest.mark.fault("G5")
@pytest.mark.parametrize("first", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
@pytest.mark.parametrize("late", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_an_execution_is_settled_once(
    db: Database, first: ExecutionResult, late: ExecutionResult
) -> None:
    stored(db)
    execution_id = taken(db)["execution_id"]
    settle_and_claim.settle(db, execution_id, first)
    before = everything(db)

    assert settle_and_claim.settle(db, execution_id, late) is None
    assert everything(db) == before


@pytest.mark.fault("G5")
@pytest.mark.parametrize("late", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_a_superseded_execution_does_not_touch_its_successor(
    db: Database, late: ExecutionResult
) -> None:
    stored(db)
    execution_id = taken(db)["execution_id"]
    settle_and_claim.settle(db, execution_id, TIMED_OUT)
    taken(db)
    before = everything(db)

    assert settle_and_claim.settle(db, execution_id, late) is None
    assert everything(db) == before


@pytest.mark.parametrize("late", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_a_job_taken_away_by_foreign_sql_keeps_what_it_was_given(
    db: Database, late: ExecutionResult
) -> None:
    job_id = stored(db)
    execution_id = taken(db)["execution_id"]
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = 'cancelled', error = 'manual'")
    before = job(db, job_id)

    assert settle_and_claim.settle(db, execution_id, late) is None
    assert job(db, job_id) == before
    assert jobs.executions(db, job_id)[0]["status"] == late.status.value


@pytest.mark.parametrize("late", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_a_job_that_foreign_sql_gave_to_another_execution_is_not_touched(
    db: Database, late: ExecutionResult
) -> None:
    job_id = stored(db)
    execution_id = taken(db)["execution_id"]
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET execution_id = 'another'")
    before = job(db, job_id)

    assert settle_and_claim.settle(db, execution_id, late) is None
    assert job(db, job_id) == before


@pytest.mark.parametrize("late", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_an_execution_that_foreign_sql_closed_is_over(db: Database, late: ExecutionResult) -> None:
    stored(db)
    execution_id = taken(db)["execution_id"]
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE job_executions SET status = 'failed'")
    before = everything(db)

    assert settle_and_claim.settle(db, execution_id, late) is None
    assert everything(db) == before


@pytest.mark.parametrize("old", JobStatus)
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_every_settle_is_a_move_that_the_table_allows(
    db: Database, old: JobStatus, ending: ExecutionResult
) -> None:
    job_id = stored(db)
    execution_id = taken(db)["execution_id"]
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = ?", (old.value,))
    settle_and_claim.settle(db, execution_id, ending)
    new = JobStatus(status_of(db, job_id))

    assert new is old or new in TRANSITIONS[old]
    assert (new is old) == (old is not JobStatus.RUNNING)


def cancelled(db: Database, job_id: str) -> bool:
    return bool(jobs.cancel(db, [job_id]))


def requeued(db: Database, job_id: str) -> bool:
    return bool(requeue.requeue(db, [job_id]).jobs)


@pytest.mark.parametrize("old", JobStatus)
@pytest.mark.parametrize("verb", [cancelled, requeued])
def test_every_verb_moves_a_job_as_the_table_allows(
    db: Database, old: JobStatus, verb: Any
) -> None:
    job_id = stored(db)
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = ?", (old.value,))
    changed = verb(db, job_id)
    new = JobStatus(status_of(db, job_id))

    assert changed == (new is not old)
    assert new is old or new in TRANSITIONS[old]


def test_open_executions_are_listed_oldest_first_until_they_are_settled(db: Database) -> None:
    stored(db), stored(db)
    first, second = taken(db), taken(db)
    listed = settle_and_claim.open_executions(db)

    assert [row["execution_id"] for row in listed] == [
        first["execution_id"],
        second["execution_id"],
    ]
    assert (listed[0]["execution_id"], listed[0]["run"]) == (first["execution_id"], WORKER.run)

    settle_and_claim.settle(db, first["execution_id"], COMPLETED)

    assert [row["job_id"] for row in settle_and_claim.open_executions(db)] == [second["id"]]


def test_an_interrupted_success_is_distinguished_from_those_settled_with_it(db: Database) -> None:
    ids = [stored(db) for _ in range(3)]
    rows = [taken(db) for _ in ids]
    late = COMPLETED.after(Interruption(Cause.TIMEOUT, 10.0), 11.25)
    endings = (COMPLETED, late, COMPLETED)
    done = tuple(over(row, ending) for row, ending in zip(rows, endings, strict=True))
    settle_and_claim.exchange(db, SettleBatch(done), None, None)
    found = [jobs.executions(db, job_id)[0] for job_id in ids]

    assert [status_of(db, job_id) for job_id in ids] == ["completed"] * 3
    assert [(one["interrupted_by"], one["returned_after"]) for one in found] == [
        (None, None),
        ("timeout", 1.25),
        (None, None),
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_interrupted_an_attempt_is_stored_however_it_ended(
    db: Database, ending: ExecutionResult
) -> None:
    job_id = stored(db)
    ran(db, ending.after(Interruption(Cause.STOPPED, 10.0), 10.5))
    (execution,) = jobs.executions(db, job_id)

    assert (execution["interrupted_by"], execution["returned_after"]) == ("stopped", 0.5)
