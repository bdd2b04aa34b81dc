"""Connections: one per process, thread and file, opened late and never carried over a fork."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
from typing import Any

from gigq.errors import StoreUnavailable, UnsupportedStore
from gigq.store.failures import until_free
from gigq.store.filesystem import refuse_network, resolve

OLDEST_SQLITE = (3, 37, 0)
BUSY_TIMEOUT = 0.010
OPEN_TIMEOUT = 30.0
JOURNAL_SIZE_LIMIT = 4 * 1024 * 1024

# Handles that came over a fork. Using or even closing one is unsafe (sqlite.org, "How To
# Corrupt An SQLite Database File", 2.6), so they are kept from being collected.
_inherited: list[dict[str, StoreConnection]] = []


class StoreConnection(sqlite3.Connection):
    """A connection that remembers its file, its durability and whether it was closed."""

    path: str = ""
    file_id: tuple[int, int] | None = None
    synchronous: str = ""
    closed: bool = False
    commits: int = 0

    def close(self) -> None:
        """Close, and say so to whoever looks this connection up again."""
        self.closed = True
        super().close()

    def is_usable(self) -> bool:
        """Whether it is open and its file is still the one that lies at its path."""
        if self.closed:
            return False
        return self.in_transaction or self.file_id == _file_id(self.path)


class _OfThread:
    """The connections of one thread. They are closed when the thread ends, by that thread."""

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
        # In a forked child the other threads' values die here, in the wrong process.
        if getpid() == self.pid:
            self.close()
        else:
            keep(self.by_path)


class _Local(threading.local):
    of_thread: _OfThread | None = None


_local = _Local()
_opening = threading.Lock()


def _new_lock() -> None:
    global _opening  # noqa: PLW0603 - at the fork another thread may have held it
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)


def open_connection(path: str | os.PathLike[str]) -> StoreConnection:
    """This thread's connection to the database file at `path`.

    The file is created, readable by its owner only, when it does not exist. The connection is
    kept for the thread; it is opened again when it was closed, when the file was replaced, and
    in a forked child.

    Raises:
        UnsupportedStore: not a file, a network file system, or an SQLite that is too old.
        StoreUnavailable: the file cannot be opened.
        StoreCorrupt: the file is not a database.
    """
    real = resolve(path)
    mine = _of_this_thread()
    connection = mine.get(real)
    if connection is not None and connection.is_usable():
        return connection
    if connection is not None:
        connection.close()
    connection = mine[real] = _opened(real)
    return connection


def close_connection(path: str | os.PathLike[str]) -> None:
    """Close this thread's connection to one file; the next use opens another."""
    connection = _of_this_thread().pop(resolve(path), None)
    if connection is not None:
        connection.close()


def close_connections() -> None:
    """Close all connections of this thread; the next use opens others."""
    if _local.of_thread is not None and _local.of_thread.pid == os.getpid():
        _local.of_thread.close()


atexit.register(close_connections)


def _of_this_thread() -> dict[str, StoreConnection]:
    held = _local.of_thread
    if held is None or held.pid != os.getpid():
        held = _local.of_thread = _OfThread()
    return held.by_path


def _opened(path: str) -> StoreConnection:
    refuse_old_sqlite(sqlite3.sqlite_version_info)
    refuse_network(path)
    with _opening:
        _create_private(path)
        connection = until_free(lambda: _connected(path), OPEN_TIMEOUT, path)
    connection.path = path
    connection.file_id = _file_id(path)
    return connection


def refuse_old_sqlite(version: tuple[int, ...]) -> None:
    """Refuse an SQLite library that lacks what the statements need."""
    if version < OLDEST_SQLITE:
        found, needed = (".".join(map(str, v)) for v in (version, OLDEST_SQLITE))
        raise UnsupportedStore(
            f"this Python has SQLite {found} and gigq needs {needed}; use a newer Python build"
        )


def _create_private(path: str) -> None:
    # Exclusive, and before any connection: closing a file that SQLite has open in this
    # process would drop SQLite's locks. SQLite gives the -wal and -shm files the same mode.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be created: {error.strerror}; check that the folder exists and that "
            "this user may write in it"
        ) from error


def _connected(path: str) -> StoreConnection:
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        cached_statements=256,
        factory=StoreConnection,
    )
    try:
        _configure(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: StoreConnection, path: str) -> None:
    connection.row_factory = sqlite3.Row
    # Automatic checkpoints are PASSIVE, the kind that can lose commits before SQLite 3.51.3.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise UnsupportedStore(
            f"{path}: SQLite stays in journal mode {mode!r} and gigq needs WAL; is the file on a "
            "disk without shared memory, or opened in exclusive mode?"
        )
    connection.execute(f"PRAGMA journal_size_limit={JOURNAL_SIZE_LIMIT}")
    connection.execute("PRAGMA trusted_schema=OFF")
    set_synchronous(connection, "FULL")


def set_synchronous(connection: Any, level: str) -> None:
    """Make commits of `connection` FULL (survive a power cut) or NORMAL; only when it changes."""
    if getattr(connection, "synchronous", None) == level:
        return
    connection.execute(f"PRAGMA synchronous={level}")
    if isinstance(connection, StoreConnection):
        connection.synchronous = level


def _file_id(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - at every use
    except OSError:
        return None
    return found.st_dev, found.st_ino
