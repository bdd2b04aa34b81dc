"""SQL of another program on either database, written as for SQLite."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from gigq.model.database_address import is_address
from gigq.store.dialect import POSTGRES, dialect_of
from gigq.store.postgres import drivers
from gigq.store.statement_text import for_postgres

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigq.store.database import Database
    from gigq.store.session import Session


def run(db: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement in a transaction of its own; its rows."""
    with db.transaction(durable=False) as session:
        return execute(session, statement, values)


def execute(session: Session, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
    """Run a statement with parameters as in SQLite; its rows, each a plain tuple."""
    cursor = _executed(session.connection, statement, values)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def execute_many(session: Session, statement: str, values: Iterable[Any]) -> None:
    """Run a statement once for each of the values."""
    for one in values:
        execute(session, statement, one)


def on_update(session: Session, table: str, statement: str) -> None:
    """Run a statement after each update of a row, which it names `new`."""
    if dialect_of(session.connection) != POSTGRES:
        begin, then = "CREATE TEMP TRIGGER note", f"BEGIN {statement}; END"
    else:
        begin, then = "CREATE TRIGGER note", "EXECUTE FUNCTION note()"
        body = f"$$ BEGIN {statement}; RETURN NULL; END $$"
        execute(session, f"CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS {body}")
    execute(session, f"{begin} AFTER UPDATE ON {table} FOR EACH ROW {then}")


class Program:
    """Another program, with a connection of its own that commits every statement.

    Args:
        address: the file or the PostgreSQL schema.
    """

    def __init__(self, address: str) -> None:
        self.connection: Any
        if is_address(address):
            import psycopg

            self.connection = psycopg.connect(address, autocommit=True)
        else:
            self.connection = sqlite3.connect(
                address, isolation_level=None, check_same_thread=False
            )

    def execute(self, statement: str, values: Any = ()) -> Any:
        """Run a statement with parameters as in SQLite; its cursor."""
        return _executed(self.connection, statement, values)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement without parameters; its rows by column."""
        cursor = self.execute(statement)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def _executed(connection: Any, statement: str, values: Any) -> Any:
    if dialect_of(connection) == POSTGRES:
        cursor = drivers.cursor_of(connection)
        cursor.execute(for_postgres(statement), values)
    else:
        cursor = connection.cursor()
        cursor.execute(statement, values)
    return cursor
