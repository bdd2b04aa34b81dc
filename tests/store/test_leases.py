"""Leases: when a process of another host is taken for dead, and when it is not."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.leases import BootClock, boot_clock, end_on_server
from support.ledger import stored, taken
from support.raw_sql import Program
from support.side_by_side import before

from gigq.execution import plain_worker_rescue
from gigq.model.claim import Claimant
from gigq.model.execution_result import ExecutionResult
from gigq.model.job_status import JobStatus
from gigq.model.lease import Lease
from gigq.store.dialect import POSTGRES
from gigq.store.lease_renewal import LeaseRenewal
from gigq.store.postgres.backend import DaemonBackend
from gigq.store.postgres.ended_leases import EndedLeases
from gigq.store.statements import statements
from gigq.store.verbs import processes, settle_and_claim
from gigq.store.verbs.processes import Process
from gigqd.recorder.dead_worker_settlement import Settlement

if TYPE_CHECKING:
    from pathlib import Path

    from gigq.store.database import Database

__all__ = ["boot_clock"]

RUN = "gigqd:1:word:boot:1:2:3"
LENGTH = 30.0
PROCESS = Process(RUN, "gigqd", "elsewhere", 2, "0.1.0", LENGTH)
LOST = ExecutionResult(JobStatus.FAILED, error="lost")

pytestmark = pytest.mark.only("postgres")


@pytest.fixture
def ended() -> EndedLeases:
    return EndedLeases()


def test_a_lease_that_goes_on_has_not_ended_however_long_it_was_seen(
    db: Database, ended: EndedLeases, boot_clock: BootClock
) -> None:
    processes.renew(db, PROCESS)
    ended.of(db, [RUN])
    boot_clock.now += 10 * LENGTH

    assert not ended.of(db, [RUN])


def test_a_lease_that_is_over_for_the_server_was_seen_for_its_length_first(
    db: Database, address: str, ended: EndedLeases, boot_clock: BootClock
) -> None:
    processes.renew(db, PROCESS)
    end_on_server(address)

    assert not ended.of(db, [RUN])
    boot_clock.now += LENGTH - 1
    assert not ended.of(db, [RUN])
    boot_clock.now += 1
    assert ended.of(db, [RUN]) == {RUN}


def test_a_renewal_begins_the_time_anew(
    db: Database, address: str, ended: EndedLeases, boot_clock: BootClock
) -> None:
    processes.renew(db, PROCESS)
    end_on_server(address)
    ended.of(db, [RUN])
    boot_clock.now += LENGTH - 1
    end_on_server(address, "2026-01-02")
    boot_clock.now += 1

    assert not ended.of(db, [RUN])


def test_the_time_begins_anew_with_another_server_which_may_lack_a_renewal(
    db: Database,
    address: str,
    ended: EndedLeases,
    boot_clock: BootClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes.renew(db, PROCESS)
    end_on_server(address)
    ended.of(db, [RUN])
    boot_clock.now += LENGTH
    text = "SELECT '2026-01-01' AS started_at"
    monkeypatch.setitem(statements(POSTGRES), "server_identity", text)

    assert not ended.of(db, [RUN])
    boot_clock.now += LENGTH - 1
    assert not ended.of(db, [RUN])
    boot_clock.now += 1
    assert ended.of(db, [RUN]) == {RUN}


def test_a_process_without_a_row_is_dead_after_the_usual_length(
    db: Database, ended: EndedLeases, boot_clock: BootClock
) -> None:
    assert not ended.of(db, [RUN])
    boot_clock.now += 30

    assert ended.of(db, [RUN]) == {RUN}


def test_a_process_that_cannot_renew_a_lease_never_counts_as_dead(
    db: Database, ended: EndedLeases, boot_clock: BootClock
) -> None:
    processes.renew(db, PROCESS._replace(lease=None))
    ended.of(db, [RUN])
    boot_clock.now += 10 * LENGTH

    assert not ended.of(db, [RUN])


@pytest.mark.parametrize("length", ["'NaN'", "'Infinity'", "0", "-5"])
def test_a_length_that_no_lease_can_have_counts_as_the_usual_one(
    db: Database, address: str, ended: EndedLeases, boot_clock: BootClock, length: str
) -> None:
    processes.renew(db, PROCESS)
    with closing(Program(address)) as program:
        program.execute(f"UPDATE gigq_processes SET lease = {length}")
    end_on_server(address)

    assert not ended.of(db, [RUN])
    boot_clock.now += 30
    assert ended.of(db, [RUN]) == {RUN}


def test_nothing_is_settled_of_a_process_that_has_renewed_its_lease_meanwhile(db: Database) -> None:
    stored(db)
    execution = str(taken(db, Claimant("w", RUN))["execution_id"])
    processes.renew(db, PROCESS)

    assert settle_and_claim.settle(db, execution, LOST, RUN) is None
    processes.renew(db, PROCESS._replace(lease=None))
    assert settle_and_claim.settle(db, execution, LOST, RUN) is None
    processes.forget(db, RUN)
    assert settle_and_claim.settle(db, execution, LOST, RUN) is not None


def test_a_renewal_waits_until_what_the_process_had_open_is_settled(
    db: Database, address: str
) -> None:
    stored(db)
    execution = str(taken(db, Claimant("w", RUN))["execution_id"])
    processes.renew(db, PROCESS)
    end_on_server(address)

    with before(db, address, lambda other: processes.renew(other, PROCESS)) as renewal:
        assert settle_and_claim.settle(db, execution, LOST, RUN) is not None

    assert renewal.has_waited


def test_what_was_seen_of_a_process_does_not_count_after_it_had_nothing_open(
    db: Database, ended: EndedLeases, boot_clock: BootClock
) -> None:
    ended.of(db, [RUN])
    ended.of(db, [])
    boot_clock.now += LENGTH
    assert not ended.of(db, [RUN])

    ended.of(db, ["gigqd:1:word:boot:1:2:4"])
    boot_clock.now += LENGTH
    assert not ended.of(db, [RUN])


def test_the_length_of_a_lease_does_not_grow_by_the_time_of_its_renewal(
    db: Database, boot_clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(_db: Database, _process: Process) -> None:
        boot_clock.now += 5

    monkeypatch.setattr(processes, "renew", slowly)
    renewal = LeaseRenewal(db, PROCESS)
    renewal.renew()

    assert renewal.lease.left == LENGTH - 5


def test_a_lease_counts_from_before_its_renewal_and_is_renewed_in_thirds(
    db: Database, boot_clock: BootClock
) -> None:
    renewal = LeaseRenewal(db, PROCESS)
    renewal.renew()
    assert renewal.lease == Lease(1, 1000 + LENGTH)

    boot_clock.now += LENGTH / 3 - 1
    assert not renewal.renew_if_due()
    boot_clock.now += 1
    assert renewal.renew_if_due()
    assert renewal.lease == Lease(1, 1010 + LENGTH)


def test_a_lease_that_is_renewed_after_its_end_is_another_one(
    db: Database, boot_clock: BootClock
) -> None:
    renewal = LeaseRenewal(db, PROCESS)
    renewal.renew()
    boot_clock.now += LENGTH
    renewal.renew()

    assert renewal.lease.number == 2


def test_a_recorder_that_replaces_one_goes_on_with_its_lease(
    db: Database, boot_clock: BootClock
) -> None:
    renewal = LeaseRenewal(db, PROCESS, Lease(4, boot_clock.now + 1))
    renewal.renew()

    assert renewal.lease.number == 4


def test_what_a_daemon_of_another_host_had_open_is_settled_after_its_lease_alone(
    db: Database, address: str, tmp_path: Path, boot_clock: BootClock
) -> None:
    backend = DaemonBackend(address, str(tmp_path / "place"))
    settlement = Settlement(db, backend, "gigqd:own", lambda: None)
    processes.renew(db, PROCESS)
    stored(db)
    taken(db, Claimant("w", RUN))
    settlement.dead_runs()
    boot_clock.now += LENGTH
    assert not settlement.dead_runs()

    end_on_server(address)
    settlement.dead_runs()
    boot_clock.now += LENGTH
    dead = settlement.dead_runs()
    assert dead == {RUN}

    processes.renew(db, PROCESS)
    assert settlement.settle_runs(dead) == 0
    end_on_server(address)
    assert settlement.settle_runs(dead) == 1


def test_what_a_plain_worker_of_another_host_had_open_is_settled_after_its_lease_alone(
    db: Database, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RUN.replace("gigqd", "worker")
    backend = DaemonBackend(address, str(tmp_path / "place"))
    monkeypatch.setattr(backend, "ended_leases", lambda _db, runs: frozenset(runs))
    processes.renew(db, PROCESS._replace(run=run))
    stored(db)
    taken(db, Claimant("w", run))

    assert not plain_worker_rescue.lost(db, backend)
    end_on_server(address)
    assert len(plain_worker_rescue.lost(db, backend)) == 1


def test_rows_without_a_lease_and_without_jobs_are_deleted_in_time(
    db: Database, address: str
) -> None:
    processes.renew(db, PROCESS)
    assert processes.forget_ended(db, 0) == 0
    end_on_server(address)
    stored(db)
    execution = str(taken(db, Claimant("w", RUN))["execution_id"])

    assert processes.forget_ended(db, 0) == 0
    settle_and_claim.settle(db, execution, LOST)
    assert processes.forget_ended(db, 0) == 1
