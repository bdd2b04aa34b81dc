"""Paused queues: no claim takes their jobs, running jobs go on, and a resume wakes workers."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support import stores
from support.ledger import COMPLETED, WORKER, insert, job_row, stored, taken
from support.waiting import wait_until

from gigq import JobQueue
from gigq.model.claim import Claimant, ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import expiry, jobs, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

SERVED = [None, ("mail", "etl"), ("*", "!other")]


def claimed(db: Database, queues: tuple[str, ...] | None = None, most: int = 1) -> list[str]:
    """The queues of the jobs of one claim."""
    claimant = Claimant("worker", "worker:1", queues)
    request = ClaimRequest(new_id(), most=most)
    return [
        row["queue"]
        for row in settle_and_claim.exchange(db, SettleBatch(), claimant, request).claimed
    ]


@pytest.mark.parametrize("queues", SERVED)
@pytest.mark.parametrize("most", [1, 8])
def test_a_claim_takes_jobs_of_the_other_queues_only(
    db: Database, queue: JobQueue, queues: tuple[str, ...] | None, most: int
) -> None:
    insert(db, [job_row(queue=name, priority=9) for name in ("mail", "mail", "mail")])
    stored(db, queue="etl")
    assert queue.pause("mail") == ["mail"]

    assert claimed(db, queues, most) == ["etl"]
    assert claimed(db, queues, most) == []
    assert queue.resume("mail") == ["mail"]
    assert claimed(db, queues) == ["mail"]


@pytest.mark.parametrize("queues", [*SERVED, ("mail",)])
def test_a_pause_of_everything_stops_every_claim_until_a_resume_of_everything(
    db: Database, queue: JobQueue, queues: tuple[str, ...] | None
) -> None:
    stored(db, queue="mail")
    queue.pause()
    queue.pause("etl")

    assert queue.resume("mail") == []
    assert claimed(db, queues) == []
    assert list(queue.paused()) == ["*", "etl"]
    assert queue.resume() == ["*", "etl"]
    assert queue.paused() == {}
    assert claimed(db, queues) == ["mail"]


def test_a_pause_is_stored_for_every_process(address: str, queue: JobQueue, db: Database) -> None:
    stored(db, queue="mail")
    queue.pause(["mail", "etl"])
    since = queue.paused()
    queue.close()

    with closing(JobQueue(address)) as other:
        assert other.paused() == since
        assert sorted(since) == ["etl", "mail"]
        assert other.pause(["mail", "sms"]) == ["sms"]
        assert other.paused()["mail"] == since["mail"]
        assert claimed(stores.database_at(address), ("mail",)) == []


def test_a_running_job_of_a_paused_queue_completes(db: Database, queue: JobQueue) -> None:
    job_id = stored(db, queue="mail")
    row = taken(db)
    queue.pause("mail")

    assert settle_and_claim.settle(db, row["execution_id"], COMPLETED) is not None
    assert queue.get_status(job_id)["status"] == "completed"


def test_jobs_of_a_paused_queue_expire_and_become_due(db: Database, queue: JobQueue) -> None:
    late = stored(db, queue="mail", retry_after="2026-01-01T00:00:00.000000+00:00")
    over = stored(db, queue="mail", expires_at="2026-01-01T00:00:00.000000+00:00")
    queue.pause()

    done = settle_and_claim.exchange(db, SettleBatch(), WORKER, ClaimRequest(new_id()))

    assert (done.claimed, [one.job_id for one in done.expired]) == ([], [over])
    assert queue.get_status(late)["retry_after"] is None
    assert expiry.next_expiry_at(db) is None


def test_workers_are_not_woken_for_due_jobs_of_a_paused_queue(
    db: Database, queue: JobQueue
) -> None:
    stored(db, queue="mail")
    stored(db, queue="etl")

    queue.pause("mail")
    assert settle_and_claim.queues_with_due_jobs(db) == ["etl"]
    queue.pause()
    assert settle_and_claim.queues_with_due_jobs(db) == []


def test_a_resume_wakes_workers_for_the_due_jobs(
    db: Database, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[dict[str, int]] = []
    monkeypatch.setattr(queue, "_wake", woken.append)
    stored(db, queue="mail")
    queue.pause("mail")
    queue.pause("etl")

    queue.resume("etl")
    queue.resume("mail")
    queue.resume("mail")

    assert woken == [{}, {"mail": 1}]


def test_a_requeue_of_a_job_in_a_paused_queue_waits_too(db: Database, queue: JobQueue) -> None:
    job_id = stored(db, queue="mail")
    queue.cancel(job_id)
    queue.pause("mail")

    assert queue.requeue_job(job_id)
    assert claimed(db) == []
    assert jobs.counts(db)["pending"] == 1


@pytest.mark.parametrize("name", ["*", "!mail", "", "a\0b", 7])
def test_a_name_that_no_queue_has_is_refused(queue: JobQueue, name: str) -> None:
    with pytest.raises(ValueError, match=r"name"):
        queue.pause([name])
    assert queue.paused() == {}


def test_an_empty_list_pauses_nothing(queue: JobQueue) -> None:
    assert queue.pause([]) == []
    assert queue.paused() == {}
    queue.pause()
    assert queue.resume([]) == []
    assert list(queue.paused()) == ["*"]


class Claimer:
    """A thread that claims jobs, one after the other, on a connection of its own.

    Attributes:
        claims: when each claim began, by the monotonic clock, and the queue of its job or None.
    """

    def __init__(self, address: str) -> None:
        self.claims: list[tuple[float, str | None]] = []
        self.is_over = threading.Event()
        self._address = address
        self._thread = threading.Thread(target=self._claim)
        self._thread.start()

    def _claim(self) -> None:
        db = stores.database_at(self._address)
        while not self.is_over.is_set():
            began = time.monotonic()
            self.claims.append((began, next(iter(claimed(db)), None)))
        db._get_connection().close()

    def since(self, moment: float) -> list[str | None]:
        """The queues of the jobs of the claims that began after a moment."""
        return [queue for began, queue in self.claims.copy() if began > moment]

    def end(self) -> None:
        self.is_over.set()
        self._thread.join()


def test_no_claim_that_begins_after_a_pause_has_returned_takes_a_job_of_its_queue(
    address: str, db: Database, queue: JobQueue
) -> None:
    insert(db, [job_row(queue="mail", priority=9) for _ in range(2000)])
    insert(db, [job_row(queue="etl") for _ in range(2000)])
    claimers = [Claimer(address) for _ in range(3)]
    try:
        for _ in range(5):
            resumed_at = time.monotonic()
            wait_until(lambda at=resumed_at: all("mail" in one.since(at) for one in claimers), 60.0)
            queue.pause("mail")
            paused_at = time.monotonic()
            wait_until(lambda at=paused_at: all(len(one.since(at)) > 5 for one in claimers), 60.0)

            assert {found for one in claimers for found in one.since(paused_at)} == {"etl"}
            queue.resume("mail")
    finally:
        for one in claimers:
            one.end()
