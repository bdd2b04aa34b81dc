"""Translation of PostgreSQL's errors into store errors. The SQLSTATE decides."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreError, StoreLocked, StoreUnavailable
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
_RIGHT = "42501"
_REMEDIES = {
    "25006": "the server is read-only; connect to the primary",
    _RIGHT: "the role lacks a right; an administrator runs submitter.sql or worker.sql for it",
    "53100": "make room on the server's disk",
    "53200": "give the server more memory",
    "53300": "raise max_connections, or use fewer workers",
}
_UNREACHABLE = "check that the server runs and can be reached"
_REFUSED = "the server runs and refuses the connection; correct the address or its settings"
_NOT_PROVED = "give the password of the role in ~/.pgpass, PGPASSWORD or a service file"
_UNAVAILABLE = frozenset({"08", "53", "57", "58"})


def translated(error: BaseException, address: str) -> StoreError:
    """Return the store error that names the failure, the database and the remedy."""
    code = _code(error)
    said = " ".join(str(error).split("\n", 1)[0].split()) or type(error).__name__
    if code in _CROSSED:
        return Deadlock(f"{address}: {_CROSSED[code]} ({code}: {said}); try again")
    if code in _WAIT:
        return StoreLocked(f"{address}: {_WAIT[code]} ({code}: {said}); try again")
    if code in _REMEDIES:
        kind = MissingRight if code == _RIGHT else StoreUnavailable
        return kind(f"{address}: {said} ({code}); {_REMEDIES[code]}")
    if code[:2] in _UNAVAILABLE or not code:
        return StoreUnavailable(f"{address}: {said}; {_remedy(code, said)}")
    return StoreError(f"{address}: {said} ({code})")


def _remedy(code: str, said: str) -> str:
    # The driver has no code for an error at the connection.
    if "no password supplied" in said:
        return _NOT_PROVED
    return _REFUSED if not code and "FATAL" in said else _UNREACHABLE


def is_from_driver(error: BaseException) -> bool:
    """Return True for an error of psycopg or psycopg2."""
    return type(error).__module__.partition(".")[0] in {"psycopg", "psycopg2"}


@contextmanager
def driver_errors_suppressed() -> Iterator[None]:
    """Go on after the block when psycopg or psycopg2 has raised an error in it."""
    try:
        yield
    except Exception as error:
        if not is_from_driver(error):
            raise


def _code(error: Any) -> str:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
