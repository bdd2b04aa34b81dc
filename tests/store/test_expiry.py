"""Pending jobs whose time is over end, and never start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import FAILED, WORKER, insert, job_row, over, ran, stored, taken

from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.claim import ClaimRequest, SettleBatch
from gigq.model.execution_result import RetryAdvice
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.verbs import expiry, jobs, requeue, settle_and_claim

if TYPE_CHECKING:
    from support.raw_sql import Program
    from support.set_clock import Clock

    from gigq.model.claim import ExpiredJob
    from gigq.store.database import Database, Row

BASE = "2026-06-01T00:00:00.000000+00:00"
SOON = clock.after(BASE, 10)


def job(db: Database, job_id: str) -> Row:
    row = jobs.get(db, job_id)
    assert row is not None
    return row


def exchange(db: Database, most: int = 1) -> settle_and_claim.Exchanged:
    return settle_and_claim.exchange(
        db, SettleBatch(), WORKER, ClaimRequest(new_id(), most=most, fits=lambda _: True)
    )


def ended(one: ExpiredJob) -> tuple[str, JobStatus, int]:
    return one.job_id, one.status, one.attempt


def test_a_job_that_no_worker_started_is_cancelled_by_the_next_claim(
    db: Database, time: Clock
) -> None:
    job_id, other = stored(db, expires_at=SOON, priority=9), stored(db)
    time.now = SOON
    _, rows, expired = exchange(db)
    row = job(db, job_id)

    assert [row["id"] for row in rows] == [other]
    assert [ended(one) for one in expired] == [(job_id, JobStatus.CANCELLED, 0)]
    assert (row["status"], row["cause"], row["completed_at"]) == ("cancelled", "expired", SOON)
    shown = clock.to_seconds(SOON)
    assert row["error"] == f"JobExpired: no worker started it before it expired at {shown}"
    assert jobs.executions(db, job_id) == []


def test_a_job_is_claimed_until_its_last_microsecond(db: Database, time: Clock) -> None:
    job_id = stored(db, expires_at=SOON)
    time.now = clock.after(SOON, -0.000001)

    assert taken(db)["id"] == job_id

    time.now = clock.after(SOON, 5)

    assert exchange(db).expired == []
    assert job(db, job_id)["status"] == "running"


def test_only_the_jobs_whose_time_has_come_expire(db: Database, time: Clock) -> None:
    first, second = stored(db, expires_at=SOON), stored(db, expires_at=clock.after(SOON, 1))
    time.now = SOON

    assert [one.job_id for one in expiry.expire_some(db)] == [first]
    assert job(db, second)["status"] == "pending"


def test_a_job_that_was_tried_fails_with_its_last_error(db: Database, time: Clock) -> None:
    job_id = stored(db, expires_at=SOON, retry_delay=5, max_attempts=5)
    ran(db, FAILED)
    error = job(db, job_id)["error"]
    time.now = SOON
    expired = expiry.expire_some(db)
    row = job(db, job_id)

    assert [ended(one) for one in expired] == [(job_id, JobStatus.FAILED, 1)]
    assert (row["status"], row["cause"], row["error"]) == ("failed", "expired", error)
    assert row["retry_after"] is None
    assert error


def test_a_job_that_a_stop_has_interrupted_does_not_expire(db: Database, time: Clock) -> None:
    job_id = stored(db, expires_at=SOON)
    ran(db, FAILED._replace(cause=Cause.STOPPED))
    time.now = SOON

    assert expiry.expire_some(db) == []
    assert taken(db)["id"] == job_id


def test_a_claim_that_was_released_unstarted_still_expires(db: Database, time: Clock) -> None:
    job_id = stored(db, expires_at=SOON)
    settle_and_claim.release(db, [(taken(db)["execution_id"], job_id)])
    time.now = SOON

    assert [ended(one) for one in expiry.expire_some(db)] == [(job_id, JobStatus.CANCELLED, 0)]


def test_a_job_that_expires_after_a_snooze_keeps_the_reason(db: Database, time: Clock) -> None:
    job_id = stored(db, expires_at=SOON)
    advice = RetryAdvice(delay=5, snooze=True)
    ran(db, FAILED._replace(error="Snooze: no file yet", cause=Cause.SNOOZED, retry=advice))
    time.now = SOON
    expired = expiry.expire_some(db)

    assert [ended(one) for one in expired] == [(job_id, JobStatus.CANCELLED, 0)]
    assert job(db, job_id)["error"] == (
        f"JobExpired: it raised Snooze until it expired at {clock.to_seconds(SOON)}; "
        "the last reason: Snooze: no file yet"
    )


def test_a_job_that_waits_for_a_parent_expires_too_and_its_dependents_follow_their_policy(
    db: Database, time: Clock
) -> None:
    parent = stored(db, "parent")
    job_id = stored(db, "job", dependencies=[parent], expires_at=SOON)
    fails = stored(db, "fails", dependencies=[job_id])
    runs = stored(db, "runs", dependencies=[job_id], on_parent_failure="run", queue="q")
    time.now = SOON
    (one,) = expiry.expire_some(db)

    assert one.due_in == ("q",)
    assert [(each.job_id, each.parent_status) for each in one.failed_dependents] == [
        (fails, "cancelled")
    ]
    assert job(db, fails)["cause"] == "parent"
    assert (job(db, runs)["unmet"], job(db, runs)["due_why"]) == (0, "parent")


def test_a_claim_that_ends_an_expired_parent_finds_the_dependent_whose_time_has_come(
    db: Database, time: Clock
) -> None:
    parent = stored(db, "parent", expires_at=SOON)
    delayed = {"on_parent_failure": "run", "retry_after": clock.after(BASE, 1), "priority": 9}
    child = stored(db, "child", dependencies=[parent], **delayed)
    stored(db, "other")
    time.now = SOON

    assert [row["id"] for row in exchange(db).claimed] == [child]


def test_an_ended_job_does_not_become_due_by_its_parents_end(db: Database, time: Clock) -> None:
    parent = stored(db, "parent", expires_at=clock.after(SOON, 5))
    job_id = stored(db, "job", dependencies=[parent], expires_at=SOON)
    fails = stored(db, "fails", dependencies=[parent])
    for time.now in (SOON, clock.after(SOON, 5)):
        expiry.expire_some(db)
    rows = [job(db, each) for each in (job_id, fails)]

    assert [row["status"] for row in rows] == ["cancelled", "failed"]
    assert [(row["due_at"], row["due_why"], row["unmet"]) for row in rows] == [(None, None, 0)] * 2


def test_of_more_jobs_than_one_transaction_ends_none_starts(db: Database, time: Clock) -> None:
    rows: list[dict[str, Any]] = [job_row(expires_at=SOON, priority=9) for _ in range(1200)]
    insert(db, rows)
    due = insert(db, [job_row(), job_row()])
    time.now = SOON
    first, second, third = exchange(db, most=8), exchange(db), exchange(db)

    assert (len(first.expired), len(second.expired), len(third.expired)) == (1000, 200, 0)
    assert [row["id"] for row in (*first.claimed, *second.claimed, *third.claimed)] == due


@pytest.mark.parametrize("queues", [None, ("a",), ("a", "b"), ("*", "!c")])
def test_no_claim_takes_an_expired_job(
    db: Database, time: Clock, monkeypatch: pytest.MonkeyPatch, queues: tuple[str, ...] | None
) -> None:
    insert(db, [job_row(expires_at=SOON, priority=9, queue="a") for _ in range(3)])
    due = insert(db, [job_row(queue="a") for _ in range(3)])
    time.now = SOON
    monkeypatch.setattr(expiry, "expire", lambda _session: [])
    who = WORKER._replace(queues=queues)
    several = ClaimRequest(new_id(), most=8, fits=lambda _: True)
    rows = [row for _ in range(2) if (row := settle_and_claim.claim(db, who, new_id()))]
    rows += settle_and_claim.exchange(db, SettleBatch(), who, several).claimed

    assert [row["id"] for row in rows] == due


def test_a_requeued_job_never_expires(db: Database, time: Clock) -> None:
    job_id = stored(db, expires_at=SOON)
    time.now = SOON
    expiry.expire_some(db)
    requeue.requeue(db, [job_id])
    time.now = clock.after(SOON, 3600)

    assert expiry.next_expiry_at(db) is None
    assert taken(db)["id"] == job_id


def test_the_next_expiry_is_that_of_a_pending_job(db: Database, time: Clock) -> None:
    assert expiry.next_expiry_at(db) is None

    first = stored(db, expires_at=SOON)
    stored(db, expires_at=clock.after(SOON, 1))

    assert expiry.next_expiry_at(db) == SOON
    assert taken(db)["id"] == first
    assert expiry.next_expiry_at(db) == clock.after(SOON, 1)


@pytest.mark.parametrize("value", ["never", 5, b"\xff"])
def test_a_time_that_another_program_wrote_wrongly_stops_nothing(
    db: Database, time: Clock, value: Any
) -> None:
    stored(db, expires_at=value)
    due = stored(db)
    time.now = SOON

    assert expiry.next_expiry_at(db) is None

    rows = [*exchange(db).claimed, *exchange(db).claimed]

    assert due in [row["id"] for row in rows]


def test_what_has_expired_is_settled_by_one_claim_together_with_what_is_over(
    db: Database, time: Clock
) -> None:
    insert(db, [job_row(), job_row(expires_at=SOON)])
    row = taken(db)
    time.now = SOON
    settled, rows, expired = settle_and_claim.exchange(
        db, SettleBatch((over(row),)), WORKER, ClaimRequest(new_id())
    )

    assert [one and one.job_status for one in settled] == [JobStatus.COMPLETED]
    assert (rows, len(expired)) == ([], 1)


@pytest.mark.only("sqlite")
def test_attempts_that_another_program_wrote_as_text_count_as_none(
    db: Database, program: Program, time: Clock
) -> None:
    stored(db, expires_at=SOON)
    program.execute("UPDATE jobs SET attempts = 'some'")
    time.now = SOON
    (expired,) = expiry.expire_some(db)

    assert (expired.status, expired.attempt) == (JobStatus.CANCELLED, 0)
