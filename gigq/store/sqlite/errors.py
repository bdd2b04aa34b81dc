"""Translation of SQLite's errors into store errors, and retries while the database is locked.

SQLite's codes decide. The wording decides only where SQLite has one code for damage and for a
schema that calls functions which a schema may not call.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, TypeVar

from gigq.errors import StoreCorrupt, StoreError, StoreLocked, StoreUnavailable, UnsupportedStore
from gigq.model.jitter import random_between
from gigq.store.sqlite.file.wal_file_names import beside, together

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.003
_CHECK_AFTER = 0.05

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
    """Return SQLite's primary result code; 0 for an error of Python's own module."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Return True when another connection holds a lock, so that waiting may help."""
    return primary_code(error) in _BUSY


def translated(error: sqlite3.Error, path: str) -> StoreError:
    """Return the store error that names the failure, the file and the remedy."""
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
    check: Callable[[str], None] | None = None,
) -> Value:
    """Run `action`, and repeat it while the database is locked.

    SQLite's own busy handler sleeps longer the longer it has waited, which starves the process
    that has waited longest; short random pauses are fairer.

    Args:
        action: the function to run; it must change nothing when it meets a lock.
        lock_timeout: seconds to wait at most.
        path: the file, for messages.
        check: called with the path after 0.05 s, and again each time that the time has doubled;
            raises to end the waiting.

    Raises:
        StoreLocked: the database was locked for `lock_timeout` seconds.
        StoreError: the database refused for another reason.
    """
    began = time.monotonic()
    deadline, check_after = began + lock_timeout, _CHECK_AFTER
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
        waited = time.monotonic() - began
        if check is not None and waited > check_after:
            check(path)
            check_after = 2 * waited  # the kernel's list of locks may miss one while it changes
        time.sleep(random_between(_SHORTEST_PAUSE, _LONGEST_PAUSE))
