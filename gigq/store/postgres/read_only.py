"""Queries of an inspection, each in a read-only transaction of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.store.dialect import POSTGRES
from gigq.store.postgres import drivers
from gigq.store.postgres.errors import driver_errors_suppressed, is_from_driver, translated
from gigq.store.postgres.values import from_database
from gigq.store.session import NOTHING
from gigq.store.statements import read_only_statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.store.session import Row

_UNANSWERED = frozenset(
    {
        "57014",  # the time is over
        "55P03",  # a lock was not free in the time
        "42501",  # the role has not the right
        "42P01",  # there is no such table
    }
)


def query(
    connection: Any, name: str, params: Mapping[str, Any] = NOTHING, seconds: float = 2.0
) -> list[Row] | None:
    """Return the rows of a statement for inspection.

    Returns:
        None when the role may not run it, a table of it is missing, or the time is over.

    Raises:
        StoreError: the connection is lost, or the server refuses the statement.
    """
    statements = read_only_statements(POSTGRES)
    limits = statements["set_up_read_only"].format(milliseconds=max(1, round(seconds * 1000)))
    try:
        with drivers.cursor_of(connection) as cursor:
            cursor.execute("; ".join(("BEGIN", *drivers.set_up_of(connection), limits)))
            cursor.execute(statements[name], params)
            return from_database(cursor.fetchall(), cursor.description)
    except Exception as error:
        if not is_from_driver(error):
            raise
        if getattr(error, "sqlstate", None) in _UNANSWERED:
            return None
        raise translated(error, drivers.address_of(connection)) from error
    finally:
        # After a lost connection there is nothing to undo.
        with driver_errors_suppressed():
            drivers.roll_back(connection)
