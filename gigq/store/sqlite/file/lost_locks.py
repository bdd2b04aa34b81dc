"""Detection of a log that SQLite deleted because this process had lost its locks on the database.

Closing any descriptor of a file frees the process's record locks on it (sqlite.org, "How To Corrupt
An SQLite Database File", 2.2). A job or an application does so when it reads or copies the file in
a process that has it open. The next process that closes its connection then counts as the last
one: it writes the log back and deletes it, and later commits into that log are lost.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreGone
from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.file.identity import Log, file_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigq.store.sqlite.file.record_lock import RecordLock

_SHARED = range(0x40000002, 0x40000002 + 510)  # SHARED_FIRST and SHARED_SIZE of SQLite


def log_was_closed(path: str, log: Log) -> bool:
    """Return True when another process wrote the whole log back and deleted it, as the last one.

    A log that was deleted otherwise stays in use in all processes that have it open.

    Args:
        path: the database file.
        log: the log that this process has open.
    """
    if log.wal is None or file_id(f"{path}-wal") == log.wal:  # at every use of a connection
        return False
    if file_id(f"{path}-shm") == log.shm:
        return False
    return not _holds_shared_lock(path)


def refuse_beside_lost_log(path: str, open_here: Iterable[Log]) -> None:
    """Refuse another connection while a thread of this process has a deleted log open.

    SQLite shares the index of the log among all connections of a process.

    Args:
        path: the database file.
        open_here: the logs that this process has open.

    Raises:
        StoreGone: one of them was deleted; its thread closes it at its next use.
    """
    if any(log_was_closed(path, one) for one in open_here):
        raise StoreGone(
            f"{path}-wal was deleted by another process, because this one had opened and closed "
            f"{path} itself, and another thread still uses it: try again, or restart this process. "
            "Make copies with gigq backup"
        )


def locks_of_this_process(path: str) -> list[RecordLock]:
    """Return the record locks of this process on a file.

    Raises:
        OSError: there is no such file, or the locks are hidden.
    """
    return [lock for lock in record_lock.on_file(path) if lock.pid == os.getpid()]


def _holds_shared_lock(path: str) -> bool:
    """Return True while this process has its lock on a database file, or when /proc hides it."""
    with suppress(OSError):
        return any(lock.first in _SHARED for lock in locks_of_this_process(path))
    return True
