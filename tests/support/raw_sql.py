"""SQL of another program, in the transaction of a session, on either database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.store.dialect import POSTGRES, dialect_of
from gigq.store.postgres.statement_text import for_postgres

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigq.store.session import Session


def execute(session: Session, statement: str, values: Any = ()) -> Any:
    """Run a statement with parameters as in SQLite; its cursor."""
    connection = session.connection
    if dialect_of(connection) == POSTGRES:
        return connection.execute(for_postgres(statement), values)
    return connection.execute(statement, values)


def execute_many(session: Session, statement: str, values: Iterable[Any]) -> None:
    """Run a statement once for each of the values."""
    for one in values:
        execute(session, statement, one)
