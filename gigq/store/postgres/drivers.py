"""Differences between psycopg and psycopg2."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gigq.errors import NoQueue, UnsupportedStore
from gigq.store.postgres.errors import (
    READ_ONLY,
    code_of,
    driver_errors_suppressed,
    is_from_driver,
    is_of_other_session,
    is_outdated,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gigq.errors import StoreError

REFUSALS = (NoQueue, UnsupportedStore)
"""Errors of gigq about the tables that a session finds. The next session may find others."""

_IDLE = 0
_USUAL_PORT = "5432"


def is_psycopg2(connection: Any) -> bool:
    """Return True for a connection of psycopg2, also of a subclass in another module."""
    if _is_own(connection):
        return False
    return any(kind.__module__.startswith("psycopg2") for kind in type(connection).__mro__)


def cursor_of(connection: Any) -> Any:
    """Return a cursor whose rows are tuples, also with a row factory on the connection."""
    if is_psycopg2(connection):
        from psycopg2.extensions import cursor

        return connection.cursor(cursor_factory=cursor)
    from psycopg import Cursor
    from psycopg.rows import tuple_row

    if _is_own(connection):
        return Cursor(connection, row_factory=tuple_row)
    return connection.cursor(row_factory=tuple_row)


def in_transaction(connection: Any) -> bool:
    """Return True inside a transaction, also a failed one."""
    # The `info` of psycopg makes two objects for it, and workers ask after each job.
    known = connection.info if is_psycopg2(connection) else connection.pgconn
    return int(known.transaction_status) != _IDLE and not connection.closed


def set_up_of(connection: Any) -> tuple[str, ...]:
    """Return the statements with which each transaction begins; none on an application's own."""
    return getattr(connection, "set_up", ())


def limit_locks(connection: Any, seconds: float) -> None:
    """Limit the waits for locks outside of transactions; not on an application's own connection."""
    if _is_own(connection):
        connection.limit_locks(seconds)


def lock_limit_of(connection: Any) -> float | None:
    """Return the seconds of `limit_locks`; None on an application's own connection."""
    return getattr(connection, "lock_timeout", None) if _is_own(connection) else None


def _is_own(connection: Any) -> bool:
    return hasattr(connection, "set_up")


def schema_of(connection: Any) -> str | None:
    """Return the schema that the address of a connection names."""
    return getattr(connection, "schema", None)


def direct_of(connection: Any) -> str | None:
    """Return the address that avoids the pooler of a connection; None without one."""
    return getattr(connection, "direct", None)


def last_value(cursor: Any, script: str) -> str:
    """Run several statements without parameters in one round trip; return the last one's value."""
    cursor.execute(script)
    # psycopg2 has the last result, psycopg the first.
    while not is_psycopg2(cursor.connection) and cursor.nextset():
        pass
    return str(cursor.fetchone()[0])


def run(connection: Any, script: str) -> None:
    """Run statements without parameters and rows.

    They are not prepared: a rollback must also work where prepared statements do not.
    """
    with cursor_of(connection) as cursor:
        cursor.execute(script, **({} if is_psycopg2(connection) else {"prepare": False}))


def run_many(cursor: Any, statement: str, params: Iterable[Any]) -> int:
    """Run a statement for each set of parameters; return the number of rows changed."""
    if is_psycopg2(cursor.connection):
        changed = 0
        for one in params:
            cursor.execute(statement, one)
            changed += cursor.rowcount
        return changed
    cursor.executemany(statement, params)
    return int(cursor.rowcount)


def commit(connection: Any) -> None:
    """Commit the transaction, whether the driver or a statement began it."""
    if connection.autocommit:
        run(connection, "COMMIT")
    else:
        connection.commit()


def roll_back(connection: Any) -> None:
    """Undo the transaction, whether the driver or a statement began it."""
    if connection.autocommit:
        run(connection, "ROLLBACK")
    else:
        connection.rollback()


def store_error(error: BaseException, connection: Any, *, may_be_done: bool = False) -> StoreError:
    """Return the store error for an error of the driver, after the end of a transaction of gigq's.

    The driver then prepares statements again that are not valid any more. Where a pooler has given
    a connection of gigq's own another session, it prepares none and sets up each transaction.

    A connection of gigq's own that takes no writes, or finds no tables, is closed. It would stay so
    after a change of the setting, the search_path or the primary server, and the next one does not.

    Args:
        error: the error.
        connection: the connection on which it was raised.
        may_be_done: True when the server may have committed all the same.
    """
    is_lost = bool(connection.closed)
    found = translated(error, address_of(connection), is_lost=is_lost, may_be_done=may_be_done)
    if code_of(error) == READ_ONLY or isinstance(found, NoQueue):
        close_own(connection)
    elif is_of_other_session(error) and _is_own(connection):
        connection.note_pooler(str(found))
    elif is_outdated(error) and not in_transaction(connection):
        _forget_prepared(connection)
    return found


def close_own(connection: Any) -> None:
    """Close a connection of gigq's own, whose session keeps the settings of its beginning."""
    if _is_own(connection):
        connection.close()


def _forget_prepared(connection: Any) -> None:
    """Have psycopg prepare all statements again, as it does after a rollback of its own."""
    with driver_errors_suppressed():  # a connection that is lost has none
        run(connection, "BEGIN")
        connection.rollback()


@contextmanager
def store_errors(connection: Any, *, may_be_done: bool = False) -> Iterator[None]:
    """Raise the errors of the driver in the block as store errors."""
    try:
        yield
    except REFUSALS:
        close_own(connection)
        raise
    except Exception as error:
        if not is_from_driver(error):
            raise
        raise store_error(error, connection, may_be_done=may_be_done) from error


def address_of(connection: Any) -> str:
    """Return the role, the server, the database and the schema of a connection, for messages.

    It is an address to copy, without the password.
    """
    found = ""
    with driver_errors_suppressed():  # a connection that was closed here has no information
        found = _address(connection.info, schema_of(connection))
    return found or "the PostgreSQL database"


def _address(info: Any, schema: str | None) -> str:
    host, port = info.host or "localhost", str(info.port)
    is_socket = host.startswith("/")
    options = {
        "host": host if is_socket else None,
        "port": port if port != _USUAL_PORT else None,
        "schema": schema,
    }
    query = "&".join(f"{name}={quote(value)}" for name, value in options.items() if value)
    server = "" if is_socket else f"[{host}]" if ":" in host else host
    place = f"{quote(info.user)}@{server}/{quote(info.dbname)}"
    return f"postgresql://{place}{'?' if query else ''}{query}"
