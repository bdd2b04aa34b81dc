"""Requests for the output of running attempts, and the parts that are stored for them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.ledger import FAILED_FOR_GOOD, stored, taken
from support.raw_sql import Program

from gigq.model.claim import Claimant
from gigq.store.verbs import live_output, processes, settle_and_claim
from gigq.store.verbs.live_output import Part
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from gigq.store.database import Database

RUN = "gigqd:1:word:boot:1:2:3"
OTHER_RUN = "gigqd:2:word:boot:1:2:3"
PROCESS = Process(RUN, "gigqd", "elsewhere", 2, "0.1.0", 30.0)
HOSTILE = bytes(range(256))

pytestmark = pytest.mark.only("postgres")


@pytest.fixture
def execution(db: Database) -> str:
    """A running attempt of a process with a lease, whose output is requested."""
    processes.renew(db, PROCESS)
    stored(db)
    found = str(taken(db, Claimant("pool/0.1@2", RUN))["execution_id"])
    assert live_output.request(db, found)
    return found


def store(db: Database, execution: str, content: bytes = b"text", start: int = 0) -> bool:
    return live_output.store(db, execution, RUN, Part(start, content), 0)


def execute(address: str, sql: str) -> None:
    with closing(Program(address)) as program:
        program.execute(sql)


def test_any_bytes_are_read_as_they_were_stored(db: Database, execution: str) -> None:
    assert store(db, execution, HOSTILE)
    assert store(db, execution, b"more", start=256)

    assert live_output.parts(db, execution, 0) == [Part(0, HOSTILE), Part(256, b"more")]
    assert live_output.parts(db, execution, 255) == [Part(0, HOSTILE), Part(256, b"more")]
    assert live_output.parts(db, execution, 256) == [Part(256, b"more")]
    assert live_output.parts(db, execution, 260) == []


def test_parts_before_the_first_and_after_the_last_are_deleted(
    db: Database, execution: str
) -> None:
    for start in (0, 4, 8):
        store(db, execution, start=start)
    live_output.store(db, execution, RUN, Part(12, b"text"), 8)
    assert [part.start for part in live_output.parts(db, execution, 0)] == [8, 12]

    live_output.store(db, execution, RUN, Part(8, b"all in one"), 8)
    assert live_output.parts(db, execution, 0) == [Part(8, b"all in one")]


def test_only_the_output_of_a_running_attempt_is_requested(db: Database, execution: str) -> None:
    assert not live_output.request(db, "missing")

    assert settle_and_claim.settle(db, execution, FAILED_FOR_GOOD)
    assert not live_output.request(db, execution)


def test_the_run_of_an_attempt_finds_its_request_and_answers(db: Database, execution: str) -> None:
    (row,) = live_output.requested(db, RUN)
    assert (row["execution_id"], row["worker_id"]) == (execution, "pool/0.1@2")
    assert live_output.requested(db, OTHER_RUN) == []

    assert not live_output.answer(db, execution, OTHER_RUN, live_output.NOT_KEPT)
    assert live_output.answer(db, execution, RUN, live_output.STORED)
    state = live_output.state(db, execution)
    assert state is not None
    assert (state["answer"], state["host"]) == (live_output.STORED, "elsewhere")
    assert live_output.state(db, "missing") is None


def test_an_attempt_without_a_request_has_a_state(db: Database) -> None:
    stored(db)
    execution = str(taken(db, Claimant("w", RUN))["execution_id"])
    state = live_output.state(db, execution)

    assert state is not None
    assert (state["answer"], state["host"]) == (None, None)


def test_a_renewal_never_shortens_a_request(db: Database, execution: str, address: str) -> None:
    execute(address, "UPDATE gigq_output_requests SET expires_at = '2999-01-01'")
    live_output.request(db, execution)
    assert live_output.forget_expired(db) == 0

    (row,) = live_output.requested(db, RUN)
    assert row["execution_id"] == execution


def test_nothing_is_stored_once_the_request_has_expired(
    db: Database, execution: str, address: str
) -> None:
    assert store(db, execution)
    execute(address, "UPDATE gigq_output_requests SET expires_at = '2026-01-01'")

    assert live_output.requested(db, RUN) == []
    assert not store(db, execution, start=4)
    assert live_output.forget_expired(db) == 1
    assert live_output.parts(db, execution, 0) == []
    assert not store(db, execution, start=4)


def test_nothing_is_stored_without_a_request(db: Database) -> None:
    processes.renew(db, PROCESS)
    stored(db)
    execution = str(taken(db, Claimant("w", RUN))["execution_id"])

    assert not store(db, execution)


def test_nothing_is_stored_of_an_attempt_that_is_over(db: Database, execution: str) -> None:
    assert settle_and_claim.settle(db, execution, FAILED_FOR_GOOD)

    assert not store(db, execution)
    assert live_output.parts(db, execution, 0) == []


def test_nothing_is_stored_by_another_run_than_that_of_the_attempt(
    db: Database, execution: str
) -> None:
    processes.renew(db, PROCESS._replace(run=OTHER_RUN))

    assert not live_output.store(db, execution, OTHER_RUN, Part(0, b"text"), 0)


def test_nothing_is_stored_of_an_attempt_that_another_one_has_superseded(
    db: Database, execution: str, address: str
) -> None:
    execute(address, "UPDATE jobs SET execution_id = 'later'")

    assert not store(db, execution)


@pytest.mark.parametrize("table", ["jobs", "job_executions"])
def test_nothing_is_stored_of_a_job_that_other_sql_has_ended(
    db: Database, execution: str, address: str, table: str
) -> None:
    execute(address, f"UPDATE {table} SET status = 'cancelled'")

    assert not store(db, execution)


@pytest.mark.parametrize(
    "sql",
    ["UPDATE gigq_processes SET lease_ends_at = '2026-01-01'", "DELETE FROM gigq_processes"],
)
def test_nothing_is_stored_after_the_lease(
    db: Database, execution: str, address: str, sql: str
) -> None:
    execute(address, sql)

    assert not store(db, execution)


def test_a_refused_part_leaves_the_others(db: Database, execution: str, address: str) -> None:
    assert store(db, execution)
    execute(address, "UPDATE gigq_processes SET lease_ends_at = '2026-01-01'")
    assert not live_output.store(db, execution, RUN, Part(9, b"late"), 9)

    assert live_output.parts(db, execution, 0) == [Part(0, b"text")]
