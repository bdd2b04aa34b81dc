"""Connections: one per process, thread and file, opened at first use, never used after a fork."""

from __future__ import annotations

import atexit
import os
import sqlite3
import sys
import threading
import weakref
from contextlib import suppress
from typing import Any

from gigq.errors import UnsupportedStore
from gigq.store.dialect import refuse_old_sqlite
from gigq.store.sqlite.close_in_turn import turn_to_close
from gigq.store.sqlite.errors import translated, until_free
from gigq.store.sqlite.file.filesystem import refuse_network, refuse_other_kind, resolve
from gigq.store.sqlite.file.identity import (
    FileId,
    Log,
    file_id,
    is_empty,
    is_same,
    log_of,
    refuse_missing,
    refuse_remains,
)
from gigq.store.sqlite.file.lost_locks import log_was_closed, refuse_beside_lost_log
from gigq.store.sqlite.file.new_file import create_private
from gigq.store.sqlite.forks import inside_sqlite
from gigq.store.sqlite.initialized_mark import note_complete, refuse_beside_live_run, refuse_empty
from gigq.store.sqlite.restored_file import wait_until_complete
from gigq.store.sqlite.write_queue import WriteQueue, write_queue_of

BUSY_TIMEOUT, OPEN_TIMEOUT = 0.010, 30.0
JOURNAL_SIZE_LIMIT = 16 * 1024 * 1024

# Connections inherited over a fork. Using or closing one is unsafe (sqlite.org, "How To Corrupt
# An SQLite Database File", 2.6), so this list keeps them from being collected.
_inherited: list[dict[str, StoreConnection]] = []

# Files that this process never creates: it has opened them, or `require` names them.
_opened_here: dict[str, FileId | None] = {}
_required: set[str] = set()

# The open connections of all threads of this process.
_open: weakref.WeakSet[StoreConnection] = weakref.WeakSet()
_closes_with_multiprocessing = False


class StoreConnection(sqlite3.Connection):
    """A connection that records its file, its durability and whether it was closed."""

    path: str = ""
    file_id: FileId | None = None
    log: Log = Log(None, None)
    synchronous: str = ""
    closed: bool = False
    commits: int = 0
    write_queue: WriteQueue | None = None

    def close(self) -> None:
        """Close the connection, in turn with other processes.

        The last process that closes its connections leaves one file, without a log.
        """
        if self.closed:
            return
        self.closed = True
        # Without a write queue it is from `open_another`: a signal handler must not wait.
        if self.write_queue is None:
            super().close()
            return
        with turn_to_close(self.path):
            with inside_sqlite():
                super().close()
            note_complete(self.path)

    def is_usable(self) -> bool:
        """Return True while the connection is open and its file is still the one at its path.

        Raises:
            StoreGone: the file was deleted, or was replaced while the old one's log stayed.
            StoreCorrupt: the file was emptied.
        """
        if self.closed:
            return False
        if self.in_transaction:
            return True
        if is_same(self.path, self.file_id):
            return not log_was_closed(self.path, self.log)
        refuse_remains(self.path, self.log.wal)
        return False


class _OfThread:
    """The connections of one thread, which closes them when it ends."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.by_path: dict[str, StoreConnection] = {}

    def close(self) -> None:
        while self.by_path:
            self.by_path.popitem()[1].close()

    def __del__(
        self,
        getpid: Any = os.getpid,
        keep: Any = _inherited.append,
    ) -> None:
        # A forked child deletes the values of the parent's other threads here.
        if getpid() == self.pid:
            self.close()
        else:
            keep(self.by_path)


class _Local(threading.local):
    of_thread: _OfThread | None = None


_local = _Local()
_opening = threading.Lock()


def _begin_in_child() -> None:
    global _opening, _open, _closes_with_multiprocessing  # noqa: PLW0603 - the parent's values
    _opening = threading.Lock()  # another thread may have held it at the fork
    _open = weakref.WeakSet()
    _closes_with_multiprocessing = False


os.register_at_fork(after_in_child=_begin_in_child)


def open_connection(
    path: str | os.PathLike[str], patience: float = OPEN_TIMEOUT, *, may_create: bool = True
) -> StoreConnection:
    """Return this thread's connection to the database file at `path`.

    The file is created, readable by its owner only, when it does not exist. The thread keeps the
    connection; it is opened again after it was closed, after the file was replaced, and in a
    forked child. A missing file that this process has had open is not created: it was deleted,
    and a new file would hide that.

    Args:
        path: the file.
        patience: seconds to wait at most while it is locked.
        may_create: True when a missing or empty file may become a new database.

    Raises:
        UnsupportedStore: a network file system, or an SQLite that is too old.
        StoreGone: it was deleted, may not be read, or was replaced while the old log stayed.
        StoreUnavailable: it is no ordinary file, or cannot be opened.
        StoreCorrupt: the file is not a database, or was emptied.
    """
    real = resolve(path)
    mine = _of_this_thread()
    connection = mine.get(real)
    if connection is not None and connection.is_usable():
        return connection
    if connection is not None:
        connection.close()
    connection = mine[real] = _opened(real, patience, may_create=may_create)
    return connection


def held_connection(path: str | os.PathLike[str]) -> StoreConnection | None:
    """Return this thread's connection to the file at `path` as it is; None if there is none."""
    return _of_this_thread().get(resolve(path))


def open_another(path: str | os.PathLike[str]) -> StoreConnection:
    """Return a connection of the caller's own to an existing file; the caller closes it.

    This may run in a signal handler: it takes no lock of this process and skips the write queue.

    Raises:
        StoreError: the file cannot be opened now.
    """
    real = resolve(path)
    refuse_missing(real)
    found = file_id(real)
    try:
        connection = _connected(real)
    except sqlite3.Error as error:
        raise translated(error, real) from error
    connection = _known_as(connection, real, found)
    connection.write_queue = None
    return connection


def require(path: str | os.PathLike[str]) -> None:
    """Forbid this process and its forked children to create the file at `path`."""
    _required.add(resolve(path))


def close_connection(path: str | os.PathLike[str]) -> None:
    """Close this thread's connection to one file; the next use may create the file again."""
    real = resolve(path)
    _opened_here.pop(real, None)
    connection = _of_this_thread().pop(real, None)
    if connection is not None:
        connection.close()


def close_connections() -> None:
    """Close all connections of this thread; the next use may create the files again."""
    _opened_here.clear()
    if _local.of_thread is not None and _local.of_thread.pid == os.getpid():
        _local.of_thread.close()


def close_all_connections() -> None:
    """Close the connections of all threads at the end of this process.

    A thread inside a transaction keeps its connection; a thread that goes on opens a new one.
    """
    close_connections()
    for connection in list(_open):
        with suppress(sqlite3.Error):
            if not (connection.closed or connection.in_transaction):
                connection.close()


atexit.register(close_all_connections)


def _of_this_thread() -> dict[str, StoreConnection]:
    held = _local.of_thread
    if held is None or held.pid != os.getpid():
        held = _local.of_thread = _OfThread()
    return held.by_path


def _opened(path: str, patience: float, *, may_create: bool) -> StoreConnection:
    refuse_old_sqlite(sqlite3.sqlite_version_info)
    refuse_other_kind(path)
    refuse_network(path)
    with _opening:
        was_there = path in _opened_here or path in _required
        if may_create and not was_there:
            refuse_beside_live_run(path)
            create_private(path)
        refuse_missing(path)
        if was_there or not may_create:
            refuse_empty(path)
        if was_there:
            _wait_for_another_file(path, patience)
        found = file_id(path)
        refuse_beside_lost_log(path, [one.log for one in _open_to(found)])
        connection = until_free(lambda: _connected(path), patience, path)
    _opened_here[path] = found
    return _known_as(connection, path, found)


def _wait_for_another_file(path: str, patience: float) -> None:
    """Wait until a file that replaced the known one is complete."""
    found = file_id(path)
    # A -shm file shows a new process that another one has the file open as a database.
    is_new = _opened_here.get(path) != found and (
        path in _opened_here or file_id(f"{path}-shm") is None
    )
    if is_new and not _open_to(found):
        wait_until_complete(path, patience)


def _open_to(found: FileId | None) -> list[StoreConnection]:
    """Return the open connections of all threads to a file."""
    return [one for one in _open if one.file_id == found and not one.closed]


def _known_as(connection: StoreConnection, path: str, found: FileId | None) -> StoreConnection:
    connection.path = path
    connection.file_id = found
    connection.log = log_of(path)
    connection.write_queue = write_queue_of(path)
    _open.add(connection)
    _close_with_multiprocessing()
    return connection


def _close_with_multiprocessing() -> None:
    """Register the closing in a child of `multiprocessing`, which exits without exit handlers."""
    global _closes_with_multiprocessing  # noqa: PLW0603 - once in a process
    process = sys.modules.get("multiprocessing.process")
    # Another thread may be importing the module, which has no functions yet.
    parent: Any = getattr(process, "parent_process", None)
    if _closes_with_multiprocessing or parent is None or parent() is None:
        return
    from multiprocessing.util import Finalize

    _closes_with_multiprocessing = True
    Finalize(None, close_all_connections, exitpriority=0)


def _connected(path: str) -> StoreConnection:
    with inside_sqlite():
        # `mode=rw`: a file that SQLite creates would hide that the old one was deleted.
        connection = sqlite3.connect(
            address_of(path),
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            cached_statements=256,
            # At the end of the process another thread closes the connection.
            check_same_thread=False,
            factory=StoreConnection,
        )
        try:
            _configure(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def address_of(path: str) -> str:
    """Return the URI with which SQLite opens an existing file at an absolute path."""
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file://{escaped}?mode=rw"


def _configure(connection: StoreConnection, path: str) -> None:
    connection.row_factory = sqlite3.Row
    # Automatic checkpoints are passive, the kind that can lose commits before SQLite 3.51.3.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    if is_empty(path):  # SQLite accepts it only before the first table
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise UnsupportedStore(
            f"{path}: SQLite stays in journal mode {mode!r} and gigq needs WAL; is the file on a "
            "disk without shared memory, or opened in exclusive mode?"
        )
    connection.execute(f"PRAGMA journal_size_limit={JOURNAL_SIZE_LIMIT}")
    connection.execute("PRAGMA trusted_schema=OFF")
    set_synchronous(connection, "FULL")
    connection.execute("PRAGMA schema_version").fetchone()  # the first read opens the log


def set_synchronous(connection: Any, level: str) -> None:
    """Set `connection` to FULL (commits survive a power cut) or NORMAL, if it is not set yet."""
    if getattr(connection, "synchronous", None) == level:
        return
    connection.execute(f"PRAGMA synchronous={level}")
    if isinstance(connection, StoreConnection):
        connection.synchronous = level
