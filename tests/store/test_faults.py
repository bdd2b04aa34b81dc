"""What the disk and the file can do to a transaction, and that nothing is half done after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.ledger import COMPLETED, job_row, status_of, stored, taken

from gigq.errors import StoreError, StoreUnavailable
from gigq.store import claims, connect, jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.database import Database


@contextmanager
def full_disk(address: str) -> Iterator[None]:
    """The file may not grow any more."""
    connection = connect.open_connection(address)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def read_only(address: str) -> Iterator[None]:
    """The file may not be written."""
    connection = connect.open_connection(address)
    connection.execute("PRAGMA query_only = 1")
    yield
    connection.execute("PRAGMA query_only = 0")


@pytest.mark.fault("G7")
def test_a_full_disk_stores_nothing_says_so_and_is_over_when_there_is_room(
    db: Database, address: str
) -> None:
    rows = [job_row() for _ in range(50)] + [job_row(params="x" * 1_000_000)]
    with full_disk(address), pytest.raises(StoreUnavailable, match=r"queue\.db.*make room"):
        jobs.insert(db, rows)

    assert jobs.counts(db) == {}
    assert len(jobs.insert(db, rows)) == 51


@pytest.mark.fault("G7")
def test_a_settle_that_met_a_full_disk_can_be_repeated(db: Database, address: str) -> None:
    job_id = stored(db)
    execution_id = taken(db)["execution_id"]
    ending = type(COMPLETED)(COMPLETED.status, result="x" * 1_000_000)
    with full_disk(address), pytest.raises(StoreUnavailable):
        claims.settle(db, execution_id, ending)

    assert status_of(db, job_id) == "running"
    assert claims.settle(db, execution_id, ending) is not None


@pytest.mark.fault("G8")
def test_a_file_that_may_not_be_written_is_unavailable(db: Database, address: str) -> None:
    with read_only(address), pytest.raises(StoreUnavailable, match=r"READONLY.*who owns"):
        stored(db)

    assert stored(db)


def test_a_refused_statement_names_the_file_and_undoes_the_batch(db: Database) -> None:
    with pytest.raises(StoreError, match=r"queue\.db: .*NOT NULL"):
        jobs.insert(db, [job_row(), job_row(name=None)])

    assert jobs.counts(db) == {}


def test_an_error_inside_a_read_is_a_store_error_too(db: Database) -> None:
    with pytest.raises(StoreError, match="no such table"), db.read() as session:
        session.connection.execute("SELECT * FROM nowhere")

    assert jobs.counts(db) == {}
