"""The conformance suite: every verb, on every kind of store in `backend`'s parameters."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from gigq import JobQueue
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.sqlite import connections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of store under test."""
    return str(request.param)


@pytest.fixture
def address(backend: str, tmp_path: Path) -> str:
    """Where the store of one test is."""
    return {"sqlite": str(tmp_path / "queue.db")}[backend]


@pytest.fixture
def db(address: str) -> Iterator[Database]:
    """An empty store with its schema."""
    database = Database(lambda: connections.open_connection(address))
    migrate.apply(database)
    yield database
    connections.close_connections()


@pytest.fixture
def queue(address: str) -> JobQueue:
    """A queue in the store of one test."""
    return JobQueue(address)


@pytest.fixture
def program(address: str, db: Database) -> Iterator[sqlite3.Connection]:
    """Another program with a connection of its own to the same file."""
    with closing(sqlite3.connect(address, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def three_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the zone of the host to three hours east of UTC."""
    monkeypatch.setenv("TZ", "Etc/GMT-3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
