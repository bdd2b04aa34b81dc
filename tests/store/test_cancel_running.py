"""Asking for the end of a running job, and what it means for every way in which it may end."""

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
    ran,
    request_cancel,
    status_of,
    stored,
    taken,
)

from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.model.retry_policy import RetryPolicy
from gigq.store.verbs import jobs, requeue, settle_and_claim
from gigq.store.verbs.jobs import Changed

if TYPE_CHECKING:
    from gigq.store.database import Database

LOST = ExecutionResult(JobStatus.FAILED, error="its worker was lost", cause=Cause.LOST)
CRASHED = ExecutionResult(JobStatus.FAILED, error="its process died", cause=Cause.CRASHED)
UNSUCCESSFUL = [FAILED, FAILED_FOR_GOOD, TIMED_OUT, STOPPED, CANCELLED, LOST, CRASHED]


def asked(db: Database, **columns: Any) -> dict[str, Any]:
    """A running job that has been asked to end: its row."""
    stored(db, **columns)
    row = taken(db)
    assert request_cancel(db, row["id"])
    return row


def sql(db: Database, statement: str, *values: Any) -> None:
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, statement, values)


@pytest.mark.parametrize("ending", UNSUCCESSFUL, ids=lambda e: f"{e.status.value}-{e.cause}")
def test_a_job_that_was_asked_to_end_is_cancelled_however_its_attempt_fails(
    db: Database, ending: ExecutionResult
) -> None:
    row = asked(db, retry_delay=60)
    settled = settle_and_claim.settle(db, row["execution_id"], ending)
    (execution,) = jobs.executions(db, row["id"])

    assert settled is not None
    assert settled.job_status is JobStatus.CANCELLED
    assert (status_of(db, row["id"]), execution["status"]) == ("cancelled", "cancelled")
    assert execution["cause"] == "cancelled"
    assert settle_and_claim.claim(db, WORKER, new_id()) is None
    assert settle_and_claim.next_due_at(db, None) is None


def test_a_job_that_was_asked_to_end_and_returns_is_completed(db: Database) -> None:
    row = asked(db)
    settled = settle_and_claim.settle(db, row["execution_id"], COMPLETED)

    assert settled is not None
    assert status_of(db, row["id"]) == "completed"


def test_a_requeued_job_does_not_remember_that_it_was_asked_to_end(db: Database) -> None:
    row = asked(db)
    settle_and_claim.settle(db, row["execution_id"], FAILED)

    assert requeue.requeue(db, [row["id"]]).jobs
    assert ran(db, FAILED).job_status is JobStatus.PENDING


def test_dependents_of_a_job_that_was_cancelled_while_it_ran_are_cut_off(db: Database) -> None:
    row = asked(db)
    child = stored(db, dependencies=[row["id"]])
    settled = settle_and_claim.settle(db, row["execution_id"], FAILED)

    assert settled is not None
    assert [one.job_id for one in settled.failed_dependents] == [child]


def test_the_request_names_the_execution_and_who_answers_for_it_until_it_is_over(
    db: Database,
) -> None:
    stored(db, "left alone")
    taken(db)
    row = asked(db)
    who = {"execution_id": row["execution_id"], "run": WORKER.run, "worker_id": WORKER.worker_id}

    assert settle_and_claim.cancel_requests(db) == [who]
    assert settle_and_claim.is_cancel_requested(db, row["execution_id"])

    settle_and_claim.settle(db, row["execution_id"], COMPLETED)

    assert settle_and_claim.cancel_requests(db) == []
    assert not settle_and_claim.is_cancel_requested(db, row["execution_id"])


def test_asking_again_keeps_the_time_of_the_first_request(db: Database) -> None:
    row = asked(db)
    (before,) = jobs.executions(db, row["id"])

    assert request_cancel(db, row["id"])
    assert jobs.executions(db, row["id"]) == [before]
    assert before["cancel_requested_at"]


@pytest.mark.parametrize("ending", [COMPLETED, FAILED_FOR_GOOD, FAILED])
def test_a_job_that_does_not_run_is_not_asked(db: Database, ending: ExecutionResult) -> None:
    job_id = stored(db)

    assert not request_cancel(db, job_id)
    ran(db, ending)
    assert not request_cancel(db, job_id)
    assert not request_cancel(db, "nobody")
    assert settle_and_claim.cancel_requests(db) == []


def test_an_execution_that_is_not_the_jobs_current_one_is_not_asked(db: Database) -> None:
    job_id = stored(db)
    taken(db)
    sql(db, "UPDATE jobs SET execution_id = 'another' WHERE id = ?", job_id)

    assert not request_cancel(db, job_id)
    sql(db, "UPDATE jobs SET execution_id = NULL, status = 'completed' WHERE id = ?", job_id)
    assert not request_cancel(db, job_id)
    assert settle_and_claim.cancel_requests(db) == []


def test_an_execution_that_foreign_sql_opened_may_be_asked_before_its_worker_adopts_it(
    db: Database,
) -> None:
    job_id = stored(db)
    sql(db, "UPDATE jobs SET status = 'running', attempts = 1 WHERE id = ?", job_id)
    sql(
        db,
        "INSERT INTO job_executions (id, job_id, worker_id, status, started_at) "
        "VALUES ('theirs', ?, 'w', 'running', '2026-01-01')",
        job_id,
    )

    assert request_cancel(db, job_id)
    assert settle_and_claim.adopt(db, job_id, "ours", WORKER) is not None

    settled = settle_and_claim.settle(db, "ours", FAILED)

    assert settled is not None
    assert settled.job_status is JobStatus.CANCELLED


def test_one_verb_cancels_what_waits_and_asks_what_runs(db: Database) -> None:
    running = stored(db, priority=1)
    waiting = stored(db)
    taken(db)

    assert jobs.cancel(db, [running], running=True).get(running) == Changed(
        JobStatus.RUNNING, ("default",)
    )
    assert jobs.cancel(db, [waiting], running=True).get(waiting) == Changed(JobStatus.CANCELLED)
    assert jobs.cancel(db, [waiting], running=True).get(waiting) is None
    assert jobs.cancel(db, ["nobody"], running=True).get("nobody") is None
    assert (status_of(db, running), status_of(db, waiting)) == ("running", "cancelled")
    assert [r["worker_id"] for r in settle_and_claim.cancel_requests(db)] == [WORKER.worker_id]


@pytest.mark.parametrize("cause", [Cause.CRASHED, Cause.MEMORY, Cause.OOM])
def test_a_job_that_kills_its_process_ends_at_its_crash_limit(db: Database, cause: Cause) -> None:
    at_once = RetryPolicy(causes={"crash": "now"}).to_json()
    job_id = stored(db, max_attempts=9, crash_limit=2, retry_policy=at_once)
    crash = ExecutionResult(JobStatus.FAILED, error="killed", cause=cause)
    ran(db, crash)
    ran(db, FAILED)
    settled = ran(db, crash)
    row = jobs.get(db, job_id)

    assert row is not None
    assert (settled.job_status, row["crashes"], row["attempts"]) == (JobStatus.FAILED, 2, 3)
    assert (row["cause"], row["status"]) == (cause.value, "failed")
    assert "crash limit reached: 2" in row["error"]


def test_a_requeued_job_may_crash_as_often_again(db: Database) -> None:
    job_id = stored(db, max_attempts=9, crash_limit=1)
    ran(db, CRASHED)

    assert requeue.requeue(db, [job_id]).jobs
    assert ran(db, FAILED).job_status is JobStatus.PENDING
    assert ran(db, CRASHED).job_status is JobStatus.FAILED
