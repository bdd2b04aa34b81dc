"""Translation of PostgreSQL's errors into store errors. The SQLSTATE decides."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gigq.errors import NoQueue, StoreError, StoreLocked, StoreUnavailable
from gigq.store.session import Deadlock, MissingRight

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAIT = {
    "55P03": "the lock timeout is over",
    "57014": "the statement timeout is over",
}
_CROSSED = {
    "40001": "another transaction changed the same rows",
    "40P01": "two transactions waited for each other",
}
READ_ONLY = "25006"
_OUTDATED = "a prepared statement is not valid any more, as after a change of the tables"
_OF_OTHER_SESSION = frozenset({"26000", "42P05"})
_RIGHT, _FULL = "42501", "53300"
_REMEDIES = {
    READ_ONLY: "the server or the database is read-only; connect to the primary, or reset "
    "default_transaction_read_only",
    _RIGHT: "the role lacks a right; an administrator runs worker.sql for it, or submitter.sql if "
    "it only submits jobs and looks at them (gigq doctor shows where they are)",
    "53100": "make room on the server's disk",
    "53200": "give the server more memory",
    _FULL: "raise max_connections, or the CONNECTION LIMIT of the role or the database; "
    "or use fewer workers",
    "XX000": "look into the server's log",
}
_MISSING = frozenset({"42P01", "42883", "3F000"})
_NOT_THERE = (
    "tables or functions of the queue were dropped or renamed, or the search_path is another one; "
    "restore them, or create a queue with gigq migrate"
)
_UNREACHABLE = "check that the server runs and can be reached"
_REFUSED = "the server runs and refuses the connection; correct the address or its settings"
_NOT_PROVED = "give the password of the role in ~/.pgpass, PGPASSWORD or a service file"
_UNAVAILABLE = frozenset({"08", "53", "57", "58"})
# libpq has no code for a refused connection, only the text of the server.
_IS_FULL = re.compile("too many (clients|connections)|remaining connection slots")
_IS_PASSING = re.compile("starting up|shutting down|recovery mode|not yet accepting")
_MAY_BE_DONE = "; what was asked may have been done all the same, and may be asked again"


def translated(
    error: BaseException, address: str, *, is_lost: bool = False, may_be_done: bool = False
) -> StoreError:
    """Return the store error that names the failure, the database and the remedy.

    Args:
        error: the error of the driver.
        address: the database, for the message.
        is_lost: True when the connection does not exist any more.
        may_be_done: True when the server may have committed before it was lost.
    """
    code = code_of(error)
    said = " ".join(str(error).split("\n", 1)[0].split()) or type(error).__name__
    if is_outdated(error):
        return Deadlock(f"{address}: {_OUTDATED} ({code}: {said}); try again")
    if code in _CROSSED:
        return Deadlock(f"{address}: {_CROSSED[code]} ({code}: {said}); try again")
    if code in _WAIT:
        return StoreLocked(f"{address}: {_WAIT[code]} ({code}: {said}); try again")
    if code in _MISSING:
        return NoQueue(f"{address}: {said} ({code}); {_NOT_THERE}")
    if code in _REMEDIES:
        kind = MissingRight if code == _RIGHT else StoreUnavailable
        return kind(f"{address}: {said} ({code}); {_REMEDIES[code]}")
    if is_lost or code[:2] in _UNAVAILABLE or not code:
        done = _MAY_BE_DONE if is_lost and may_be_done else ""
        return StoreUnavailable(f"{address}: {said}; {_remedy(code, said)}{done}")
    return StoreError(f"{address}: {said} ({code})")


def _remedy(code: str, said: str) -> str:
    # The driver has no code for an error at the connection.
    if "no password supplied" in said:
        return _NOT_PROVED
    is_refused = not code and "FATAL" in said and not _IS_PASSING.search(said)
    return _REFUSED if is_refused else _UNREACHABLE


def is_from_driver(error: BaseException) -> bool:
    """Return True for an error of psycopg or psycopg2."""
    return type(error).__module__.partition(".")[0] in {"psycopg", "psycopg2"}


def is_outdated(error: Any) -> bool:
    """Return True when the server does not run a statement that the driver prepared earlier.

    It is another session, or a table has been altered, so that the rows would have other columns.
    The text of the second error depends on the language, and its code has other meanings.
    """
    where = getattr(getattr(error, "diag", None), "source_function", None)
    is_altered = code_of(error) == "0A000" and where == "RevalidateCachedQuery"
    return is_altered or is_of_other_session(error)


def is_of_other_session(error: Any) -> bool:
    """Return True when the server's session is not the one in which the driver prepared statements.

    It has a statement of that name already, or it has none.
    """
    return code_of(error) in _OF_OTHER_SESSION


@contextmanager
def driver_errors_suppressed() -> Iterator[None]:
    """Go on after the block when psycopg or psycopg2 has raised an error in it."""
    try:
        yield
    except Exception as error:
        if not is_from_driver(error):
            raise


def code_of(error: Any) -> str:
    """Return the SQLSTATE of an error of the driver; empty without one."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code or (_FULL if _IS_FULL.search(str(error)) else "")
