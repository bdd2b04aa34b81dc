"""The conformance suite: every verb, on every kind of database.

A test about one kind is marked with `only`.
"""

from __future__ import annotations

from contextlib import closing
from time import tzset
from typing import TYPE_CHECKING

import pytest
from support import stores
from support.raw_sql import Program
from support.set_clock import time

from gigq import JobQueue

__all__ = ["time"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gigq.store.database import Database


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a store on every kind of database, or on the one that they are about."""
    if "backend" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("backend", only.args if only else stores.KINDS)


@pytest.fixture
def address(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the store of one test; on a server with its schema if the test has a `db`."""
    is_begun = backend == "postgres" and "db" in request.fixturenames
    make = stores.begun if is_begun else stores.address_of
    with make(backend, tmp_path) as found:
        yield found


@pytest.fixture
def db(address: str) -> Database:
    """An empty store with its schema."""
    return stores.begun_at(address)


@pytest.fixture
def queue(address: str) -> JobQueue:
    """A queue in the store of one test."""
    stores.begun_at(address)
    return JobQueue(address)


@pytest.fixture
def program(address: str, db: Database) -> Iterator[Program]:
    """Another program with a connection of its own to the same database."""
    with closing(Program(address)) as other:
        yield other


@pytest.fixture
def three_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the zone of the host to three hours east of UTC."""
    monkeypatch.setenv("TZ", "Etc/GMT-3")
    tzset()
    yield
    monkeypatch.undo()
    tzset()
