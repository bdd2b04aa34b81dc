"""Verified backup of a database in use: one moment of it, written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.errors import BackupRefused, GigqError, StoreCorrupt, UnsupportedStore
from gigq.store.read_only import reading_long
from gigq.store.sqlite.connections import address_of
from gigq.store.sqlite.errors import primary_code, translated
from gigq.store.sqlite.file.filesystem import resolve
from gigq.store.sqlite.processes.run_locks import companion_path
from gigq.store.statements import read_only_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES_A_STEP = 512
"""Pages copied between two chances for Python to run a signal handler: some milliseconds."""

_OF_SQLITE = ("", "-wal", "-shm", "-journal")
_COUNTS = {
    "jobs": "number_of_jobs",
    "job_executions": "number_of_executions",
    "job_dependencies": "number_of_edges",
}
# SQLite's codes when it cannot write the copy. The source is only read.
_CANNOT_WRITE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup.

    Attributes:
        path: the file.
        size: bytes.
        counts: the number of rows in each table of the queue.
        seconds: the time it took.
    """

    path: str
    size: int
    counts: dict[str, int]
    seconds: float


def back_up(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, force: bool
) -> Backup:
    """Copy the database as it is at one moment; neither readers nor writers wait.

    The copy gets its name once it is verified and on the disk. Until then, and after any failure,
    `target` is unchanged.

    Args:
        source: the database file.
        target: the file to write; its folder must exist.
        force: True to replace an existing file.

    Raises:
        BackupRefused: `target` cannot or must not be written.
        StoreCorrupt: the database is damaged, and so is its copy.
        StoreError: the database cannot be read.
        OSError: the copy could not be written, for example because the disk is full.
    """
    began = time.monotonic()
    real = resolve(source)
    name = _refuse_bad_target(real, target, force=force)
    with _new_file_beside(name) as unfinished:
        counts = _copy(real, unfinished)
        _verify(real, unfinished, counts)
        _sync(unfinished)
        size = Path(unfinished).stat().st_size
        _refuse_bad_target(real, target, force=force)  # another process may have made it
        os.replace(unfinished, name)  # noqa: PTH105 - beside its resolved twin
    _sync(os.path.dirname(name))  # noqa: PTH120
    return Backup(name, size, counts, time.monotonic() - began)


def _refuse_bad_target(source: str, target: str | os.PathLike[str], *, force: bool) -> str:
    """Return the absolute path of the backup, or refuse it."""
    try:
        name = resolve(target)
    except UnsupportedStore as error:
        raise BackupRefused(f"{os.fspath(target)!r} is not the name of a file to make") from error
    if _is_of_database(source, name):
        raise BackupRefused(f"{target} belongs to the database itself; name another file")
    folder = os.path.dirname(name)  # noqa: PTH120
    if not os.path.isdir(folder):  # noqa: PTH112
        raise BackupRefused(f"there is no folder {folder}; make it first")
    if os.path.isdir(name):  # noqa: PTH112
        raise BackupRefused(f"{target} is a folder; name a file in it: {Path(target, 'jobs.db')}")
    if os.path.lexists(name) and not os.path.isfile(name):  # noqa: PTH113
        raise BackupRefused(f"{target} is not a file; name another")
    if os.path.exists(name) and not force:  # noqa: PTH110
        raise BackupRefused(f"{target} is there already; name another file, or use --force")
    _refuse_log_beside(name)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} may not be written by this user; check who owns it")
    return name


def _is_of_database(source: str, name: str) -> bool:
    own = {source + ending for ending in _OF_SQLITE}
    if name in own or Path(name).is_relative_to(companion_path(source)):
        return True
    # A hard link or a bind mount gives the same file another name.
    return any(
        os.path.exists(one) and os.path.exists(name) and os.path.samefile(one, name)  # noqa: PTH110, PTH121
        for one in own
    )


def _refuse_log_beside(name: str) -> None:
    for ending in _OF_SQLITE[1:]:
        if os.path.lexists(name + ending):
            raise BackupRefused(
                f"{name + ending} is there: a database with that name is or was in use, and "
                "SQLite would mix the two; name another file, or move it away"
            )


@contextmanager
def _new_file_beside(name: str) -> Iterator[str]:
    """Make a private file in the same folder, and remove it afterwards unless it was renamed."""
    folder, last = os.path.split(name)
    # The name may already be as long as the file system allows.
    unfinished = os.path.join(folder, f".{last[:64]}.{secrets.token_hex(4)}.unfinished")  # noqa: PTH118
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        yield unfinished
    except sqlite3.Error as error:
        raise OSError(
            f"{name} cannot be written ({error}); make room, or check the disk"
        ) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)  # noqa: PTH108


def _copy(source: str, unfinished: str) -> dict[str, int]:
    """Copy all pages under one read transaction.

    Without the transaction SQLite restarts the backup after every commit of another process, so
    with busy workers it would never end. In WAL mode a reader delays no writer.
    """
    with reading_long(source) as reader:
        try:
            reader.execute("BEGIN")
            counts = _counts(reader)
            _refuse_without_room(reader, unfinished)
        except sqlite3.Error as error:
            raise translated(error, source) from error
        with closing(_opened(f"{address_of(unfinished)}&nolock=1")) as copy:
            # `back_up` syncs the copy before it gets its name, and deletes an unfinished one.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            try:
                # Python runs signal handlers when it calls the callback.
                reader.backup(copy, pages=PAGES_A_STEP, progress=lambda *_: None)
            except sqlite3.Error as error:
                if primary_code(error) in _CANNOT_WRITE:
                    raise
                raise translated(error, source) from error
    return counts


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=5, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows in each table of the queue; old files lack some tables."""
    sql = read_only_statements()
    there = {name for (name,) in connection.execute(sql["table_names"])}
    return {
        table: connection.execute(sql[count]).fetchone()[0]
        for table, count in _COUNTS.items()
        if table in there
    }


def _refuse_without_room(reader: sqlite3.Connection, unfinished: str) -> None:
    (pages,) = reader.execute("PRAGMA page_count").fetchone()
    (page,) = reader.execute("PRAGMA page_size").fetchone()
    folder = os.path.dirname(unfinished)  # noqa: PTH120
    free = shutil.disk_usage(folder).free
    if pages * page > free:
        raise OSError(
            f"the backup takes {pages * page} bytes and {folder} has room for {free}; make room"
        )


def _verify(source: str, unfinished: str, counts: dict[str, int]) -> None:
    """Check every page and index of the copy, and compare its counts of rows."""
    # No other process uses the copy, so it needs neither locks nor a log.
    try:
        with closing(_opened(f"{address_of(unfinished)[:-2]}ro&immutable=1")) as copy:
            copy.set_progress_handler(lambda: 0, 100_000)  # lets Python run signal handlers
            (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
            copied = _counts(copy)
    except sqlite3.Error as error:
        raise translated(error, source) from error
    if found != "ok":
        raise StoreCorrupt(
            f"{source} is damaged ({found}), and so is every copy of it; keep it with its -wal and "
            "-shm, keep your older backups, and see what gigq doctor --integrity says"
        )
    if copied != counts:
        raise GigqError(f"the copy has {copied} rows and {source} had {counts}: it was not kept")


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
