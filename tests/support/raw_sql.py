"""SQL of another program, in the transaction of a session, on either database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.store.dialect import POSTGRES, dialect_of
from gigq.store.postgres.statement_text import for_postgres

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
    cursor = session.connection.cursor()
    if dialect_of(session.connection) == POSTGRES:
        statement = for_postgres(statement)
    cursor.execute(statement, values)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def execute_many(session: Session, statement: str, values: Iterable[Any]) -> None:
    """Run a statement once for each of the values."""
    for one in values:
        execute(session, statement, one)
