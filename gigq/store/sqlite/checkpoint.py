"""Checkpoints of the write-ahead log (WAL): one at a time, and never in a race with a restart.

SQLite before 3.51.3 can lose commits when a passive checkpoint races with a writer that restarts
the WAL, and all its automatic checkpoints are passive. So every connection switches them off. The
process that finds a long WAL runs one checkpoint; beside a daemon that is the recorder process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gigq.errors import StoreError, StoreLocked
from gigq.store.sqlite.connections import BUSY_TIMEOUT, open_another, set_synchronous
from gigq.store.sqlite.errors import is_busy, translated
from gigq.store.sqlite.file.identity import require_same
from gigq.store.sqlite.file.private_files import open_file, try_flock
from gigq.store.sqlite.probe import require_writable
from gigq.store.sqlite.processes.run_locks import companion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.sqlite.connections import StoreConnection

LONG = 4 * 1024 * 1024
"""Size of the WAL in bytes from which the recorder shortens it."""

TOO_LONG = 4 * LONG
"""Size in bytes from which any process does: apparently no recorder runs."""

# The page size and the salts in the header of the WAL, and the place of the salts in a frame.
_HEADER = struct.Struct(">8xI4x8s")
_HEADER_BYTES = 32
_FRAME_HEADER = 24
_SALT_OF_FRAME_AT = 8

_SHORT = 1024 * 1024
_FAR_TOO_LONG = 16 * LONG
_PATIENCE = 0.005
_PATIENCE_AT_LAST = 0.25
_COMMITS_BETWEEN_LOOKS = 128


def wal_size(path: str) -> int:
    """Return the bytes in use in the WAL of the database at `path`; 0 without a WAL.

    The file may be longer: a writer that restarts the WAL overwrites it from the beginning.
    """
    try:
        # Closing this file drops no lock: SQLite's locks are on the other two files.
        log = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError:
        return wal_room(path)
    try:
        return _in_use(log)
    finally:
        os.close(log)


def wal_room(path: str) -> int:
    """Return the size in bytes of the WAL's file; 0 without a WAL."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116 - without opening it
    return 0


def _in_use(log: int) -> int:
    """Return the bytes up to the last frame with the salt of the header.

    The frames in use are at the beginning, without a gap (sqlite.org, "WAL-mode File Format").
    """
    header = os.pread(log, _HEADER.size, 0)
    if len(header) < _HEADER.size:
        return 0
    page_size, salt = _HEADER.unpack(header)
    frame = _FRAME_HEADER + page_size
    # The number of frames in use is between these two.
    few, many = 0, max(0, os.fstat(log).st_size - _HEADER_BYTES) // frame
    while few < many:
        middle = (few + many + 1) // 2
        at = _HEADER_BYTES + (middle - 1) * frame + _SALT_OF_FRAME_AT
        if os.pread(log, len(salt), at) == salt:
            few = middle
        else:
            many = middle - 1
    return int(_HEADER_BYTES + few * frame)


def after_commit(connection: StoreConnection) -> None:
    """Make sure that the commit went into the file at the path, and shorten a WAL of `TOO_LONG`.

    The size of the WAL is read after every 128th commit.

    Raises:
        StoreGone: the file was deleted or replaced during the transaction; the commit is lost.
        StoreCorrupt: the file was emptied.
    """
    require_same(connection.path, connection.file_id)
    connection.commits += 1
    if connection.commits % _COMMITS_BETWEEN_LOOKS or wal_size(connection.path) < TOO_LONG:
        return
    # A failure here does not undo the commit; a later commit tries again.
    with contextlib.suppress(StoreError, OSError):
        shorten(connection)


def shorten(connection: StoreConnection, *, truncate: bool = False) -> bool:
    """Write the WAL into the database and restart it, unless another process is doing so.

    Writers go on while most of the WAL is written back; they wait for the rest only.

    Args:
        connection: a connection without an open transaction.
        truncate: True to empty the WAL's file. Otherwise it keeps its size: writing over it and
            syncing that takes half as long as making the file longer.

    Returns:
        False when a reader, a writer or another checkpoint was in the way: try later.

    Raises:
        StoreError: the disk is full or fails; the WAL is unharmed.
    """
    with _elected(connection.path) as elected:
        if not elected:
            return False
        # A checkpoint syncs in either mode. The commits of `_leave_something` need no sync.
        set_synchronous(connection, "NORMAL")
        if wal_size(connection.path) > _SHORT:
            _write_back(connection)
        return _finish(connection, truncate=truncate)


def _write_back(connection: StoreConnection) -> None:
    """Write back the present content of the WAL, by a passive checkpoint that delays no process.

    A writer restarts the WAL only when all of it is written back and no process reads it. Neither
    happens during this checkpoint: a page was just committed, and a pinned reader reads as of it.
    """
    # On a full disk that page cannot be committed; `_finish` needs no room in the WAL.
    with contextlib.suppress(StoreError, sqlite3.Error):
        with _turn_to_write(connection):
            require_writable(connection, _PATIENCE)
        with contextlib.closing(open_another(connection.path)) as pinned_reader:
            pinned_reader.execute("BEGIN")
            pinned_reader.execute("PRAGMA schema_version").fetchone()
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _finish(connection: StoreConnection, *, truncate: bool) -> bool:
    """Write back the rest and restart the WAL while writers wait.

    SQLite waits for readers as well, in vain where one begins before another ends. Writers wait
    all that time, so it is 5 ms, and 250 ms once the WAL is far too long (64 MiB).
    """
    far_too_long = wal_size(connection.path) >= _FAR_TOO_LONG
    _set_patience(connection, _PATIENCE_AT_LAST if far_too_long else _PATIENCE)
    mode = "TRUNCATE" if truncate else "RESTART"
    try:
        with _turn_to_write(connection):
            _leave_something(connection)
            busy, _, _ = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            if not (busy or truncate):
                # The next writer restarts the WAL: do it here, where no checkpoint is running.
                _leave_something(connection)
    except StoreLocked:
        return False
    except sqlite3.Error as error:
        if is_busy(error):
            return False
        raise translated(error, connection.path) from error
    finally:
        _set_patience(connection, BUSY_TIMEOUT)
    return bool(busy == 0)


def _leave_something(connection: StoreConnection) -> None:
    """Commit a page that is not written back, so that no writer restarts the WAL.

    SQLite turns any checkpoint into a passive one when it cannot get the write lock.

    Raises:
        StoreLocked: the write lock is taken.
    """
    try:
        require_writable(connection, _PATIENCE)
    except StoreLocked:
        raise
    except StoreError:
        return  # the disk is full: no writer can restart the WAL either


@contextmanager
def _turn_to_write(connection: StoreConnection) -> Iterator[None]:
    """Pass the write queue, so that no writer of gigq is in the way or meets a taken lock."""
    write_queue = connection.write_queue
    held = write_queue is not None and write_queue.enter(urgent=False)
    try:
        yield
    finally:
        if write_queue is not None and held:
            write_queue.leave()


def _set_patience(connection: StoreConnection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")


@contextmanager
def _elected(path: str) -> Iterator[bool]:
    lock = open_file(companion(path) / "checkpointer")
    try:
        yield try_flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)
