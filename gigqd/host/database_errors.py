"""Database errors: their meaning for the daemon, and the delay before the next try."""

from __future__ import annotations

from typing import NamedTuple

from gigq.errors import (
    NoQueue,
    SchemaTooNew,
    StoreCorrupt,
    StoreError,
    StoreGone,
    StoreUnavailable,
    UnsupportedStore,
)
from gigqd import exit_codes

_RETRY_FIRST = 0.1
_RETRY_LONGEST = 2.0
_PERMANENT = {
    SchemaTooNew: exit_codes.BAD_CONFIG,
    UnsupportedStore: exit_codes.BAD_CONFIG,
    NoQueue: exit_codes.DATABASE_UNAVAILABLE,
    StoreCorrupt: exit_codes.DATABASE_UNAVAILABLE,
}


class DatabaseError(NamedTuple):
    """The reason why the database cannot be used.

    Attributes:
        text: the error.
        pause_claims: True to pause claims, because the file at the path is another one or cannot
            be trusted. After other errors a claim fails by itself.
        code: the exit code of a daemon that is not up yet; None when waiting may help.
    """

    text: str
    pause_claims: bool
    code: int | None = None


def database_error_of(error: Exception) -> DatabaseError:
    """Return the meaning of an error of the store or the system."""
    code = next((code for kind, code in _PERMANENT.items() if isinstance(error, kind)), None)
    pause_claims = code is not None or isinstance(error, StoreGone)
    if isinstance(error, PermissionError):  # on a file beside the database
        code = exit_codes.NOT_PERMITTED
    if isinstance(error, StoreError) and not isinstance(error, StoreUnavailable):
        code = code or exit_codes.DATABASE_UNAVAILABLE  # SQLite refuses the statement every time
    return DatabaseError(str(error), pause_claims, code)


def exit_code_for(error: Exception) -> int:
    """Return a command's exit code for a database error."""
    if isinstance(error, OSError):
        return exit_codes.for_database(error)
    return database_error_of(error).code or exit_codes.DATABASE_UNAVAILABLE


class RetryDelay:
    """The delay before the next try after an error: 0.1 s at first, then up to 2 s."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """Reset the delay after success."""
        self.until = 0.0
        self._delay = _RETRY_FIRST

    def wait(self, now: float) -> None:
        """Set the next try after a failure at `now`, in seconds of the monotonic clock."""
        self.until = now + self._delay
        self._delay = min(_RETRY_LONGEST, self._delay * 2)
