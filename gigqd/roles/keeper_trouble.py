"""Trouble with the database: what an error means for the daemon, and when to try again."""

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
from gigqd import exits

_RETRY_FIRST = 0.1
_RETRY_LONGEST = 2.0
_HOPELESS = {
    SchemaTooNew: exits.BAD_CONFIG,
    UnsupportedStore: exits.BAD_CONFIG,
    NoQueue: exits.DATABASE_UNAVAILABLE,
    StoreCorrupt: exits.DATABASE_UNAVAILABLE,
}


class Trouble(NamedTuple):
    """Why the database cannot be used.

    Attributes:
        text: in words.
        hold: nothing may be claimed meanwhile: what lies at the path is not the file that it
            was, or cannot be trusted. Otherwise whoever claims finds out by itself.
        code: the exit code of a daemon that meets it before it is up; None when waiting may help.
    """

    text: str
    hold: bool
    code: int | None = None


def trouble_of(error: Exception) -> Trouble:
    """What an error of the store, or of the system, means."""
    code = next((code for kind, code in _HOPELESS.items() if isinstance(error, kind)), None)
    hold = code is not None or isinstance(error, StoreGone)
    if isinstance(error, PermissionError):  # a file beside the database that is not ours to use
        code = exits.NOT_PERMITTED
    if isinstance(error, StoreError) and not isinstance(error, StoreUnavailable):
        code = code or exits.DATABASE_UNAVAILABLE  # a statement that SQLite refuses every time
    return Trouble(str(error), hold, code)


def exit_code_for(error: Exception) -> int:
    """What a command exits with that cannot use the database; docs/signals.md has the table."""
    if isinstance(error, OSError):
        return exits.for_database(error)
    return trouble_of(error).code or exits.DATABASE_UNAVAILABLE


class Patience:
    """When to try again after trouble: soon at first, then later and later."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """The trouble is over."""
        self.until = 0.0
        self._delay = _RETRY_FIRST

    def wait(self, now: float) -> None:
        """Another try has failed, at this time of the monotonic clock."""
        self.until = now + self._delay
        self._delay = min(_RETRY_LONGEST, self._delay * 2)
