"""Differences between kinds of databases beyond the text of a statement."""

from __future__ import annotations

from functools import cache
from inspect import iscoroutinefunction
from typing import Any

from gigq.errors import UnsupportedStore

OLDEST_SQLITE = (3, 37, 0)


SQLITE = "sqlite"
"""The name of a dialect: that of its files of statements, of its folder of schemas and of its
package."""

POSTGRES = "postgres"
"""PostgreSQL through psycopg, or through psycopg2 in a connection of the application's own."""

_UNSUPPORTED = frozenset(
    ("asyncpg", "pg8000", "psycopg_pool", "sqlalchemy", "MySQLdb", "pymysql", "mysql", "oracledb")
)
_REMEDY = (
    "use one of sqlite3, psycopg or psycopg2 (of SQLAlchemy that is "
    "`connection.connection.driver_connection`)"
)


def dialect_of(connection: Any) -> str:
    """Return the dialect of a connection, found from its type and not from an address.

    Raises:
        UnsupportedStore: gigq does not know the connection's driver.
    """
    kind: Any = type(connection)
    return _dialect_of(kind)


def refuse_old_sqlite(version: tuple[int, ...]) -> None:
    """Refuse an SQLite library that is older than the statements need."""
    if version < OLDEST_SQLITE:
        found, needed = (".".join(map(str, v)) for v in (version, OLDEST_SQLITE))
        raise UnsupportedStore(
            f"this Python has SQLite {found} and gigq needs {needed}; use a newer Python build"
        )


@cache
def _dialect_of(kind: type) -> str:
    if iscoroutinefunction(getattr(kind, "commit", None)):
        raise UnsupportedStore(f"asynchronous connections are not supported; {_REMEDY}")
    # An application's subclass is in a module of its own.
    drivers = [base.__module__.partition(".")[0] for base in kind.__mro__]
    if {"psycopg", "psycopg2"} & set(drivers):
        return POSTGRES
    for driver in drivers:
        if driver in _UNSUPPORTED:
            raise UnsupportedStore(f"connections of {driver} are not supported; {_REMEDY}")
    return SQLITE
