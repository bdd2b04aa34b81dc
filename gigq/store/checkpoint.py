"""Keeping the WAL short: one checkpointer at a time, and none that a new beginning can overtake.

SQLite before 3.51.3 can lose commits when a passive checkpoint races with a writer that begins the
WAL anew, and all its automatic checkpoints are passive. They are switched off on every connection;
whoever finds the WAL long becomes the checkpointer for one round. With a daemon that is its keeper.
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
from gigq.store.connect import BUSY_TIMEOUT, open_another, set_synchronous
from gigq.store.failures import is_busy, translated
from gigq.store.health import require_writable
from gigq.store.identity import require_same
from gigq.store.liveness import companion
from gigq.store.private_files import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.connect import StoreConnection

LONG = 4 * 1024 * 1024
"""Bytes from which the keeper shortens the WAL."""

TOO_LONG = 4 * LONG
"""Bytes from which anybody does, because there seems to be no keeper."""

# Page size and salts in the header of the log, and where the salts of a frame are.
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
    """Bytes in use of the write-ahead log of the database at `path`; 0 when there is none.

    The file may be longer: who begins it anew writes over what is left of the last time.
    """
    try:
        # It may be opened and closed: SQLite's locks are on the other two files.
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
    """Bytes that the file of the write-ahead log takes; 0 when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116 - only asked
    return 0


def _in_use(log: int) -> int:
    """Up to the last frame that bears the salt of the header (sqlite.org, "WAL-mode File Format").

    The frames in use stand at the beginning, without a gap.
    """
    header = os.pread(log, _HEADER.size, 0)
    if len(header) < _HEADER.size:
        return 0
    page_size, salt = _HEADER.unpack(header)
    frame = _FRAME_HEADER + page_size
    # How many frames are in use lies between these two.
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
    """Make sure that the commit went into the file at the path; every so often look at the WAL.

    A WAL that is too long is shortened here when nobody else seems to do it.

    Raises:
        StoreGone: the file was deleted or replaced meanwhile; what was committed is lost.
        StoreCorrupt: the file was emptied.
    """
    require_same(connection.path, connection.file_id)
    connection.commits += 1
    if connection.commits % _COMMITS_BETWEEN_LOOKS or wal_size(connection.path) < TOO_LONG:
        return
    # The commit stands whatever happens here; the next look tries again.
    with contextlib.suppress(StoreError, OSError):
        shorten(connection)


def shorten(connection: StoreConnection, *, truncate: bool = False) -> bool:
    """Write the WAL into the database and begin it anew, unless somebody else is doing so.

    Most of it is written back while others go on writing; they wait for the rest only.

    Args:
        connection: a connection without an open transaction.
        truncate: whether the file is to be emptied. Otherwise its room is kept: to write over it
            and have that on disk takes half as long as to make the file longer.

    Returns:
        False when readers or writers were in the way, or another checkpointer: try later.

    Raises:
        StoreError: the disk is full or fails; the WAL is as good as before.
    """
    with _elected(connection.path) as elected:
        if not elected:
            return False
        # A checkpoint syncs what it must either way; the pages that change nothing need not be.
        set_synchronous(connection, "NORMAL")
        if wal_size(connection.path) > _SHORT:
            _write_back(connection)
        return _finish(connection, truncate=truncate)


def _write_back(connection: StoreConnection) -> None:
    """Write back what is in the WAL by now, by a passive checkpoint that nobody waits for.

    A writer begins the WAL anew only where all of it is written back and nobody reads it. Neither
    can be while this goes on: a page has just been written that is not back yet, and a witness
    reads as of then.
    """
    # On a full disk that page cannot be written; emptying the WAL needs no room in it.
    with contextlib.suppress(StoreError, sqlite3.Error):
        with _turn_to_write(connection):
            require_writable(connection, _PATIENCE)
        with contextlib.closing(open_another(connection.path)) as witness:
            witness.execute("BEGIN")
            witness.execute("PRAGMA schema_version").fetchone()
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _finish(connection: StoreConnection, *, truncate: bool) -> bool:
    """Write back the rest and begin the WAL anew, while writers wait.

    Readers are waited for as well, in vain where one begins before another ends. As everybody
    else waits meanwhile, that is for a moment only, and for longer once the WAL is far too long.
    """
    far_too_long = wal_size(connection.path) >= _FAR_TOO_LONG
    _set_patience(connection, _PATIENCE_AT_LAST if far_too_long else _PATIENCE)
    mode = "TRUNCATE" if truncate else "RESTART"
    try:
        with _turn_to_write(connection):
            _leave_something(connection)
            busy, _, _ = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            if not (busy or truncate):
                # Who writes next begins it anew: here, where no checkpoint is under way.
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
    """Have something in the WAL that is not written back, so that no writer begins it anew.

    Where the write lock is not to be had, SQLite makes a passive checkpoint of any other.

    Raises:
        StoreLocked: it is not to be had now.
    """
    try:
        require_writable(connection, _PATIENCE)
    except StoreLocked:
        raise
    except StoreError:
        return  # the disk is full: nobody can begin it anew either


@contextmanager
def _turn_to_write(connection: StoreConnection) -> Iterator[None]:
    """Through the gate: no writer of gigq is in the way then, and none meets a closed lock."""
    gate = connection.gate
    held = gate is not None and gate.enter(urgent=False)
    try:
        yield
    finally:
        if gate is not None and held:
            gate.leave()


def _set_patience(connection: StoreConnection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")


@contextmanager
def _elected(path: str) -> Iterator[bool]:
    lock = open_file(companion(path) / "checkpointer")
    try:
        yield _is_ours(lock)
    finally:
        os.close(lock)


def _is_ours(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
