"""What the disk and the file can do to a transaction, and that nothing is half done after it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from support.ledger import COMPLETED, insert, job_row, status_of, stored, taken

from gigq.errors import StoreCorrupt, StoreError, StoreLocked, StoreUnavailable
from gigq.model.claim import Claimant
from gigq.model.ids import new_id
from gigq.store.sqlite import checkpoint, connections, probe
from gigq.store.verbs import jobs, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.database import Database

pytestmark = pytest.mark.only("sqlite")


@contextmanager
def full_disk(address: str) -> Iterator[None]:
    """The file may not grow any more."""
    connection = connections.open_connection(address)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def read_only(address: str) -> Iterator[None]:
    """The file may not be written."""
    connection = connections.open_connection(address)
    connection.execute("PRAGMA query_only = 1")
    yield
    connection.execute("PRAGMA query_only = 0")


@pytest.mark.fault("G7")
def test_a_full_disk_stores_nothing_says_so_and_is_over_when_there_is_room(
    db: Database, address: str
) -> None:
    rows = [job_row() for _ in range(50)] + [job_row(params="x" * 1_000_000)]
    with full_disk(address), pytest.raises(StoreUnavailable, match=r"queue\.db.*make room"):
        insert(db, rows)

    assert jobs.counts(db) == {}
    assert len(insert(db, rows)) == 51


@pytest.mark.fault("G7")
def test_a_settle_that_met_a_full_disk_can_be_repeated(db: Database, address: str) -> None:
    job_id = stored(db)
    execution_id = taken(db)["execution_id"]
    ending = type(COMPLETED)(COMPLETED.status, value="x" * 1_000_000)
    with full_disk(address), pytest.raises(StoreUnavailable):
        settle_and_claim.settle(db, execution_id, ending)

    assert status_of(db, job_id) == "running"
    assert settle_and_claim.settle(db, execution_id, ending) is not None


@pytest.mark.fault("G8")
def test_a_file_that_may_not_be_written_is_unavailable(db: Database, address: str) -> None:
    with read_only(address), pytest.raises(StoreUnavailable, match=r"READONLY.*who owns"):
        stored(db)

    assert stored(db)


def test_a_refused_statement_names_the_file_and_undoes_the_batch(db: Database) -> None:
    with pytest.raises(StoreError, match=r"queue\.db: .*NOT NULL"):
        insert(db, [job_row(), job_row(name=None)])

    assert jobs.counts(db) == {}


def test_an_error_inside_a_read_is_a_store_error_too(db: Database) -> None:
    with pytest.raises(StoreError, match="no such table"), db.read() as session:
        session.connection.execute("SELECT * FROM missing")

    assert jobs.counts(db) == {}


def test_a_claim_that_met_a_full_disk_takes_nothing_and_can_be_repeated(
    db: Database, address: str
) -> None:
    job_id = stored(db)
    greedy = Claimant("w" * 1_000_000, "worker:1", None)
    with full_disk(address), pytest.raises(StoreUnavailable, match="make room"):
        settle_and_claim.claim(db, greedy, new_id())

    assert status_of(db, job_id) == "pending"
    assert settle_and_claim.open_executions(db) == []
    assert taken(db)["attempts"] == 1


def test_a_write_that_is_only_tried_changes_nothing(db: Database, address: str) -> None:
    connection = connections.open_connection(address)
    connection.execute("PRAGMA user_version = 7")
    before = list(connection.iterdump())

    probe.require_writable(connection, 1.0)
    probe.require_lock(connection, 1.0)

    assert list(connection.iterdump()) == before
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 7
    assert not connection.in_transaction


def test_a_write_that_is_only_tried_tells_of_a_lock_and_of_a_file_that_is_read_only(
    db: Database, address: str
) -> None:
    connection = connections.open_connection(address)
    with closing(sqlite3.connect(address, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked):
            probe.require_lock(connection, 0.01)
        with pytest.raises(StoreLocked):
            probe.require_writable(connection, 0.01)
        other.execute("ROLLBACK")
    with read_only(address), pytest.raises(StoreUnavailable, match="READONLY"):
        probe.require_writable(connection, 0.01)

    probe.require_writable(connection, 0.01)


def test_a_file_that_was_cut_off_is_damaged_though_its_connection_notices_nothing(
    db: Database, address: str
) -> None:
    insert(db, [job_row(params="x" * 50_000) for _ in range(10)])
    connection = connections.open_connection(address)
    checkpoint.shorten(connection)
    beats: list[int] = []
    probe.require_whole(address, 1.0, lambda: beats.append(1))
    os.truncate(address, 100_000 // 4096 * 4096)

    probe.require_readable(address, 1.0)
    with pytest.raises(StoreCorrupt, match="restore a backup"):
        probe.require_whole(address, 1.0, lambda: beats.append(1))


def test_the_commit_of_another_process_is_distinguished_from_our_own(
    db: Database, address: str
) -> None:
    connection = connections.open_connection(address)
    before = probe.version_of(connection, 1.0)
    stored(db)

    assert probe.version_of(connection, 1.0) == before
    with closing(sqlite3.connect(address)) as other, other:
        other.execute("UPDATE jobs SET priority = 5")
    assert probe.version_of(connection, 1.0) != before


@pytest.mark.soak
@pytest.mark.fault("G12")
def test_a_million_finished_jobs_slow_neither_a_claim_nor_a_recovery(
    db: Database, address: str
) -> None:
    connection = connections.open_connection(address)
    stored(db)
    settle_and_claim.settle(db, taken(db)["execution_id"], COMPLETED)
    for table in ("jobs", "job_executions"):
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = ", ".join("printf('%s-%d', id, n)" if name == "id" else name for name in names)
        connection.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
            f"WHERE n < 1000000) INSERT INTO {table} ({', '.join(names)}) "
            f"SELECT {values} FROM {table}, numbers"
        )
    for _ in range(50):
        stored(db)

    times = []
    for _ in range(50):
        began = time.perf_counter()
        assert taken(db)
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    assert len(settle_and_claim.open_executions(db)) == 50
    recovery = time.perf_counter() - began

    assert sorted(times)[25] < 0.005
    assert recovery < 2.0
