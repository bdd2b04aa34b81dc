"""Identity of the file at a path: writes to a deleted or replaced file would be lost."""

from __future__ import annotations

import os
from typing import NamedTuple

from gigq.errors import StoreCorrupt, StoreGone, StoreUnavailable
from gigq.store.sqlite.file.wal_file_names import TO_BEGIN, beside, the_log

FileId = tuple[int, int]


def file_id(path: str) -> FileId | None:
    """Return the device and inode of the file at `path`; None without a file."""
    found = _stat_or_none(path)
    return None if found is None else (found.st_dev, found.st_ino)


def stamp(path: str) -> tuple[int, int]:
    """Return the size in bytes and the time of the last change in ns of the file at `path`.

    Raises:
        StoreGone: there is no file.
    """
    found = _stat_or_none(path)
    if found is None:
        raise _gone(path)
    return found.st_size, found.st_mtime_ns


def state_of(found: os.stat_result) -> tuple[int, ...]:
    """Return device, inode, size and time of the last change: another state is another content."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def is_empty(path: str) -> bool:
    """Return True for an existing file without content.

    Raises:
        StoreGone: the path cannot be reached.
    """
    found = _stat_or_none(path)
    return found is not None and not found.st_size


def is_empty_or_missing(path: str) -> bool:
    """Return True when there is no file at `path`, or one without content.

    Raises:
        StoreGone: the path cannot be reached.
    """
    found = _stat_or_none(path)
    return found is None or not found.st_size


def is_same(path: str, known: FileId | None) -> bool:
    """Return True while the file at `path` is the known one.

    Raises:
        StoreGone: there is no file.
        StoreCorrupt: it was emptied; a database in use is never empty.
    """
    found = _stat_or_none(path)
    if found is None:
        raise _gone(path)
    if (found.st_dev, found.st_ino) != known:
        return False
    if not found.st_size:
        raise StoreCorrupt(f"{path} was emptied while it was in use; {_restore(path)}")
    return True


def require_same(path: str, known: FileId | None) -> None:
    """Make sure, after a commit, that it went into the file at `path`.

    Raises:
        StoreGone: the file was deleted or replaced during the transaction.
        StoreCorrupt: the file was emptied.
    """
    if not is_same(path, known):
        raise StoreGone(f"{path} was replaced while it was written to; do it again")


def refuse_remains(path: str, log: FileId | None) -> None:
    """Refuse a file that replaced the known one while the old log is still beside it.

    SQLite would take the log for the new file's and write the old pages into it.

    Args:
        path: the database file, which has replaced the known one.
        log: the log of the known file.

    Raises:
        StoreGone: that log is still there, and is not empty.
    """
    found = _stat_or_none(f"{path}-wal")
    if found is not None and found.st_size and (found.st_dev, found.st_ino) == log:
        raise StoreGone(
            f"{path} was replaced, but {path}-wal ({found.st_size} bytes) is still the log of the "
            f"old file; move {the_log(path)} away, together with the old file"
        )


class Log(NamedTuple):
    """The log of a database that a connection has open, and its index, the -shm file."""

    wal: FileId | None
    shm: FileId | None


def log_of(path: str) -> Log:
    """Return the log that is beside a database file now."""
    return Log(file_id(f"{path}-wal"), file_id(f"{path}-shm"))


def require_log(path: str, log: Log) -> None:
    """Make sure that the log in use and its index are still beside the file.

    A process that opens the file without them creates new ones, and the two logs overwrite each
    other's pages.

    Raises:
        StoreGone: one of them was deleted or replaced.
    """
    now = log_of(path)
    if log.wal is not None and now != log:
        name = f"{path}-wal" if now.wal != log.wal else f"{path}-shm"
        raise StoreGone(
            f"{name} was deleted or moved away while it was in use; put it back, or stop "
            f"everything that uses {path}, without kill -9: the process that ends last writes the "
            "log into the file. Until then start nothing new there, and copy nothing"
        )


def require_access(path: str) -> None:
    """Make sure that a new process could open the file and its log.

    Raises:
        StoreGone: one of them may not be read.
        StoreUnavailable: one of them may not be written.
    """
    for name in (path, f"{path}-wal", f"{path}-shm"):
        if os.access(name, os.R_OK | os.W_OK) or not os.path.lexists(name):
            continue
        if not os.access(name, os.R_OK):
            raise StoreGone(f"{name} may not be read; check who owns the file")
        raise StoreUnavailable(
            f"{name} may not be written; check who owns the file, and the mount options"
        )


def refuse_missing(path: str) -> None:
    """Refuse a missing file, and an empty one whose log SQLite would delete.

    Raises:
        StoreGone: there is no file, or it may not be read.
        StoreCorrupt: the file is empty and its log is not.
    """
    found = _stat_or_none(path)
    if found is None:
        raise _missing(path)
    if not os.access(path, os.R_OK):
        raise StoreGone(f"{path} may not be read; check who owns the file")
    if not found.st_size and (left := _log_size(path)):
        raise StoreCorrupt(f"{path} is empty although its log has {left} bytes; {_restore(path)}")


def refuse_stray_log(path: str) -> None:
    """Refuse to create a file beside the log of a lost one.

    Raises:
        StoreGone: there is such a log.
    """
    if left := _log_size(path):
        raise StoreGone(
            f"{path} is not there, but its log {path}-wal ({left} bytes) is; put the file back "
            f"beside it, or move {the_log(path)} away to begin a new file"
        )


def _restore(path: str) -> str:
    kept = "keep it and its -wal" if "-wal" in beside(path) else "keep it"
    return f"{kept}, and put a good copy in its place with {the_log(path)} moved away"


def _gone(path: str) -> StoreGone:
    return StoreGone(
        f"{path} is gone: it was deleted or moved away; put it back or restore a backup; {TO_BEGIN}"
    )


def _missing(path: str) -> StoreGone:
    if os.path.lexists(f"{path}.gigq"):  # the folder of a queue
        return _gone(path)
    return StoreGone(f"there is no database at {path}; check the path, or submit a job to make it")


def _log_size(path: str) -> int:
    found = _stat_or_none(f"{path}-wal")
    return 0 if found is None else found.st_size


def _stat_or_none(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - hot path; and opening it would drop locks
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreGone(f"{path} cannot be reached: {error.strerror}") from error
