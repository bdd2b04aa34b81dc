"""Queries of an inspection, which wait for nothing and change nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres
from support.postgres_roles import role

from gigq import JobQueue
from gigq.errors import StoreError
from gigq.model.ids import new_id
from gigq.store.postgres.connections import new_connection
from gigq.store.postgres.read_only import query

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def empty() -> Iterator[str]:
    with postgres.fresh_schema(f"test_{new_id().replace('-', '')}") as found:
        yield found


@pytest.fixture
def address(empty: str) -> str:
    JobQueue(empty).close()
    return empty


def asked(address: str, seconds: float = 60.0) -> list[dict[str, Any]] | None:
    """The answer to a statement about a table of the queue."""
    with closing(new_connection(address)) as connection:
        found = query(connection, "store_id", seconds=seconds)
        assert query(connection, "nanoseconds")  # the connection can still be used
    return found


def test_it_returns_the_rows(address: str) -> None:
    assert asked(address)


@pytest.mark.parametrize("seconds", [60.0, 0.001], ids=["the lock", "the time"])
def test_a_locked_table_is_not_waited_for(address: str, seconds: float) -> None:
    with psycopg.connect(address) as other:
        other.execute("LOCK TABLE gigq_store")
        assert asked(address, seconds) is None


def test_a_missing_table_and_a_missing_right_have_no_answer(address: str) -> None:
    with role(address) as of_role:
        assert asked(of_role) is None
    with postgres.fresh_schema(f"test_{new_id().replace('-', '')}") as other:
        assert asked(other) is None


def test_a_connection_that_is_lost_is_an_error(address: str) -> None:
    with closing(new_connection(address)) as connection:
        with psycopg.connect(address) as other:
            pid = connection.info.backend_pid
            other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        with pytest.raises(StoreError):
            query(connection, "store_id")
