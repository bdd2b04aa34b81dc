"""What a database's error means here, and waiting for a lock.

Codes decide, and the wording only where SQLite has one code for damage and for a schema that calls
functions which a schema may not call.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, TypeVar

from gigq.errors import StoreCorrupt, StoreError, StoreLocked, StoreUnavailable, UnsupportedStore
from gigq.jitter import random_between
from gigq.store.log_names import beside, together

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.003
_LOOK_AFTER = 0.05

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNSAFE = "unsafe use of"
_REMEDIES = {
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and that this user may write in it",
    sqlite3.SQLITE_READONLY: "check who owns the file, its folder and its mount options",
    sqlite3.SQLITE_PERM: "check who owns the file and its folder",
    sqlite3.SQLITE_AUTH: "check who owns the file and its folder",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "check the disk and the kernel's log",
    sqlite3.SQLITE_NOMEM: "free some memory",
    sqlite3.SQLITE_PROTOCOL: "look for processes that hold the file",
}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 when the error came from Python's module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection is in the way and waiting may help."""
    return primary_code(error) in _BUSY


def translated(error: sqlite3.Error, path: str) -> StoreError:
    """The store error that says what happened, to which file, and what to do."""
    code = primary_code(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in _BUSY:
        return StoreLocked(f"{path} is locked by another connection ({name}); try again")
    if code in _CORRUPT and _UNSAFE in str(error):
        return UnsupportedStore(
            f"{path}: {error}; gigq does not let a database's schema call functions that SQLite "
            "does not count as harmless: drop what calls it. Nothing was changed"
        )
    if code in _CORRUPT:
        return StoreCorrupt(
            f"{path} is damaged or not a database ({name}: {error}); stop using it, keep "
            f"{together(beside(path))}, and restore a backup"
        )
    if code in _REMEDIES:
        return StoreUnavailable(f"{path}: {error} ({name}); {_REMEDIES[code]}")
    return StoreError(f"{path}: {error} ({name})")


def until_free(
    action: Callable[[], Value],
    lock_timeout: float,
    path: str,
    look: Callable[[str], None] | None = None,
) -> Value:
    """Do `action`, again and again while the database is locked.

    SQLite's own busy handler sleeps longer the longer it has waited, which starves whoever
    has waited longest; short random pauses are fairer.

    Args:
        action: what to do; it must change nothing when it meets a lock.
        lock_timeout: seconds to wait at most.
        path: the file, for messages.
        look: called once with the path, after a moment; may refuse to wait any longer.

    Raises:
        StoreLocked: the lock was held for longer.
        StoreError: anything else that the database refused.
    """
    began = time.monotonic()
    deadline = began + lock_timeout
    while True:
        try:
            return action()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, path) from error
            if time.monotonic() >= deadline:
                raise StoreLocked(
                    f"{path} was locked by another connection for {lock_timeout:g} s; find the "
                    "process that holds a transaction open, or raise the lock timeout"
                ) from error
        if look is not None and time.monotonic() - began > _LOOK_AFTER:
            look(path)
            look = None
        time.sleep(random_between(_SHORTEST_PAUSE, _LONGEST_PAUSE))
