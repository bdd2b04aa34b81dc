"""What went wrong where several hosts share a job queue, from public bug reports: the store."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.leases import BootClock, boot_clock, end_on_server
from support.ledger import COMPLETED, FAILED, request_cancel, status_of, stored, taken
from support.raw_sql import Program
from support.waiting import wait_until

from gigq import Worker
from gigq.cli.workers import found_at
from gigq.execution import plain_worker_rescue
from gigq.model import clock
from gigq.model.claim import Claimant
from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.backend import backend_of
from gigq.store.postgres.ended_leases import EndedLeases
from gigq.store.verbs import jobs, pauses, processes, settle_and_claim
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from gigq.model.claim import Settled
    from gigq.store.database import Database

__all__ = ["boot_clock"]

LENGTH = 30.0
AHEAD = "2999-01-01T00:00:00.000000+00:00"
DEAD = Process("worker:dead", "worker", "elsewhere", 2, "0.1.0", LENGTH)
HERE = Claimant("here", "worker:here")
LOST = ExecutionResult(JobStatus.FAILED, error="lost")

pytestmark = pytest.mark.only("postgres")


def run_elsewhere(db: Database, address: str) -> str:
    """Claim the next job for a process whose lease is over by the server's clock; the execution."""
    processes.renew(db, DEAD)
    execution = str(taken(db, Claimant("elsewhere", DEAD.run))["execution_id"])
    end_on_server(address)
    return execution


def rescue(db: Database, execution: str) -> Settled | None:
    """Take an execution back, as a process does that has seen the end of its lease."""
    return settle_and_claim.settle(db, execution, LOST, DEAD.run)


def set_back_clock(address: str) -> None:
    """Let all times of processes be those of a clock that is far ahead of the server's."""
    with closing(Program(address)) as program:
        program.execute(
            "UPDATE gigq_processes SET seen_at = ?, lease_ends_at = ?",
            (AHEAD, clock.after(AHEAD, LENGTH)),
        )


def has_ended(db: Database, boot_clock: BootClock, ended: EndedLeases, seconds: float) -> bool:
    """Whether a lease has ended for a process that looks again after so many seconds."""
    ended.of(db, [DEAD.run])
    boot_clock.now += seconds
    return bool(ended.of(db, [DEAD.run]))


@pytest.mark.fault("O1")
def test_the_servers_clock_was_set_back_after_the_last_renewal_of_a_dead_process(
    db: Database, address: str, boot_clock: BootClock
) -> None:
    """kubernetes/client-go#448, johanhaleby/occurrent#659: a wrong clock delays a takeover."""
    stored(db)
    execution = run_elsewhere(db, address)
    set_back_clock(address)

    (shown,), _paused = found_at(address)
    assert (shown["alive"], shown["state"][:9]) == (False, "not seen ")
    assert not has_ended(db, boot_clock, EndedLeases(), LENGTH - 1)
    assert has_ended(db, boot_clock, EndedLeases(), LENGTH)
    assert rescue(db, execution) is not None


@pytest.mark.fault("O1")
def test_a_living_process_renews_its_lease_after_the_servers_clock_was_set_back(
    db: Database, address: str, boot_clock: BootClock
) -> None:
    """The same: it is not taken for dead."""
    stored(db)
    execution = run_elsewhere(db, address)
    set_back_clock(address)
    ended = EndedLeases()
    has_ended(db, boot_clock, ended, LENGTH - 1)
    processes.renew(db, DEAD)

    assert not has_ended(db, boot_clock, ended, LENGTH)
    assert rescue(db, execution) is None


@pytest.mark.fault("O1")
def test_a_process_without_a_lease_is_alive_after_the_servers_clock_was_set_back(
    db: Database, address: str, boot_clock: BootClock
) -> None:
    """The same: its times say nothing."""
    processes.renew(db, DEAD._replace(lease=None))
    with closing(Program(address)) as program:
        program.execute("UPDATE gigq_processes SET seen_at = ?", (AHEAD,))

    assert not has_ended(db, boot_clock, EndedLeases(), 10 * LENGTH)


@pytest.mark.fault("O2")
def test_the_row_of_a_living_process_with_a_long_lease_is_deleted(
    db: Database, boot_clock: BootClock
) -> None:
    """rails/solid_queue#337: processes whose rows are gone still work."""
    processes.renew(db, DEAD._replace(lease=120.0))
    one_that_saw_it, one_with_such_a_lease = EndedLeases(), EndedLeases(120.0)
    one_that_saw_it.of(db, [DEAD.run])
    processes.forget(db, DEAD.run)

    for ended in (one_that_saw_it, one_with_such_a_lease):
        assert not has_ended(db, boot_clock, ended, 119)
        assert has_ended(db, boot_clock, ended, 1)


@pytest.mark.fault("O3")
def test_plain_workers_alone_delete_the_rows_of_those_that_were_killed(
    address: str, db: Database
) -> None:
    """sidekiq/sidekiq#2125, sidekiq/sidekiq#6127, resque/resque#763: thousands of them stay."""
    processes.renew(db, DEAD)
    end_on_server(address)
    worker = Worker(address, "alone", polling_interval=0.05)
    thread = threading.Thread(target=worker.start)
    thread.start()

    wait_until(lambda: DEAD.run not in rows(db), why="the row is deleted")
    assert rows(db)
    worker.stop()
    thread.join()


@pytest.mark.fault("O3")
def test_a_process_without_a_lease_that_claims_nothing_for_a_day_is_forgotten(
    address: str, db: Database
) -> None:
    """sidekiq/sidekiq#2917, sidekiq/sidekiq#4392: it is shown for months."""
    stored(db)
    processes.renew(db, DEAD._replace(lease=None))
    execution = str(taken(db, Claimant("elsewhere", DEAD.run))["execution_id"])
    seen_at = clock.after(db.now(), -25 * 3600)
    with closing(Program(address)) as program:
        program.execute("UPDATE gigq_processes SET seen_at = ?", (seen_at,))

    assert processes.forget_ended(db, 0) == 0
    settle_and_claim.settle(db, execution, COMPLETED)
    assert processes.forget_ended(db, 0) == 1


@pytest.mark.fault("O4")
def test_a_job_whose_cancel_was_requested_does_not_run_again_when_its_host_has_died(
    db: Database, address: str
) -> None:
    """celery/celery#818, celery/django-celery-results#423: a cancel died with its worker."""
    job_id = stored(db)
    execution = run_elsewhere(db, address)
    assert request_cancel(db, job_id)
    rescue(db, execution)

    assert status_of(db, job_id) == "cancelled"
    assert settle_and_claim.claim(db, HERE, new_id()) is None


@pytest.mark.fault("O5")
@pytest.mark.parametrize("late", ["outcome", "failure", "release"])
def test_what_a_host_does_late_with_a_job_that_another_has_taken_over_changes_nothing(
    db: Database, address: str, late: str
) -> None:
    """collectiveidea/delayed_job_active_record#193: it released the lock of the new worker."""
    job_id = stored(db)
    old = run_elsewhere(db, address)
    rescue(db, old)
    now = taken(db, HERE)

    if late == "release":
        assert settle_and_claim.release(db, [(old, job_id)]) == [None]
    else:
        result = COMPLETED if late == "outcome" else FAILED
        assert settle_and_claim.settle(db, old, result) is None
    row = jobs.get(db, job_id)
    assert row is not None
    assert (row["status"], row["execution_id"]) == ("running", now["execution_id"])
    assert settle_and_claim.settle(db, now["execution_id"], COMPLETED) is not None


@pytest.mark.fault("O6")
def test_a_job_of_a_paused_queue_whose_host_has_died_waits_for_the_resume(
    db: Database, address: str
) -> None:
    """bee-queue/bee-queue#1: nothing may start before the resume."""
    job_id = stored(db)
    execution = run_elsewhere(db, address)
    pauses.pause(db, ["default"])
    rescue(db, execution)

    assert status_of(db, job_id) == "pending"
    assert settle_and_claim.claim(db, HERE, new_id()) is None
    pauses.resume(db, ["default"])
    assert taken(db, HERE)["id"] == job_id


@pytest.mark.fault("O7")
def test_a_job_without_a_timeout_is_taken_back_from_a_host_that_has_died(
    db: Database, address: str, boot_clock: BootClock
) -> None:
    """rq/rq#944, collectiveidea/delayed_job#1208: it stayed, or waited for a timeout."""
    job_id = stored(db, timeout=None)
    run_elsewhere(db, address)
    backend = backend_of(address)
    assert plain_worker_rescue.lost(db, backend) == []
    boot_clock.now += LENGTH

    assert [done.job_id for done in plain_worker_rescue.lost(db, backend)] == [job_id]
    assert status_of(db, job_id) == "pending"


def rows(db: Database) -> list[str]:
    """The runs of the processes that have a row."""
    return [row["run"] for row in processes.listed(db)]
