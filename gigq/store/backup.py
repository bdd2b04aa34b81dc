"""A copy of a database while it is in use: one moment of it, verified, and there whole or not."""

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
from gigq.store.connect import address_of
from gigq.store.failures import primary_code, translated
from gigq.store.filesystem import resolve
from gigq.store.liveness import companion_path
from gigq.store.reading import reading_long
from gigq.store.statements import looks

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES_A_STEP = 512
"""Pages copied between two moments at which a signal is heeded: some milliseconds at most."""

_OF_SQLITE = ("", "-wal", "-shm", "-journal")
_COUNTS = {
    "jobs": "number_of_jobs",
    "job_executions": "number_of_executions",
    "job_dependencies": "number_of_edges",
}
# What SQLite says when it cannot write the copy. The source is only read.
_CANNOT_WRITE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made.

    Attributes:
        path: where it is.
        size: bytes.
        counts: the number of rows in each table of the queue.
        seconds: how long it took.
    """

    path: str
    size: int
    counts: dict[str, int]
    seconds: float


def back_up(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, force: bool
) -> Backup:
    """Copy the database as it is at one moment. Nobody has to wait, neither readers nor writers.

    The copy gets its name when it was verified and is on the disk; until then, and after any
    failure, nothing lies at `target` or what was there before.

    Args:
        source: the database file.
        target: the file to make; its folder must exist.
        force: whether a file that is there may be replaced.

    Raises:
        BackupRefused: nothing can be written at `target`, or it must not be.
        StoreCorrupt: the database is damaged, and so is its copy.
        StoreError: the database cannot be read.
        OSError: the copy could not be written; the disk is full, for instance.
    """
    began = time.monotonic()
    real = resolve(source)
    name = _refuse_bad_target(real, target, force=force)
    with _new_file_beside(name) as unfinished:
        counts = _copy(real, unfinished)
        _verify(real, unfinished, counts)
        _sync(unfinished)
        size = Path(unfinished).stat().st_size
        _refuse_bad_target(real, target, force=force)  # somebody else may have made it meanwhile
        os.replace(unfinished, name)  # noqa: PTH105 - beside its resolved twin
    _sync(os.path.dirname(name))  # noqa: PTH120
    return Backup(name, size, counts, time.monotonic() - began)


def _refuse_bad_target(source: str, target: str | os.PathLike[str], *, force: bool) -> str:
    """The absolute name of the backup, after a look at what is wrong with it."""
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
    # Another name of the same file: a hard link, or a bind mount.
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
    """A new private file in the same folder, which is gone afterwards unless it was renamed."""
    folder, last = os.path.split(name)
    # Shortened, since a name may be as long as the file system allows.
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

    Without it the backup would begin again whenever somebody else has written between two steps,
    and with busy workers never end. In WAL mode nobody waits for a reader.
    """
    with reading_long(source) as reader:
        try:
            reader.execute("BEGIN")
            counts = _counts(reader)
            _refuse_without_room(reader, unfinished)
        except sqlite3.Error as error:
            raise translated(error, source) from error
        with closing(_opened(f"{address_of(unfinished)}&nolock=1")) as copy:
            # It is on the disk before it gets its name; a half-made one is thrown away.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            try:
                # The callback is where Python heeds a signal; it has nothing to do itself.
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
    """The number of rows in each table of the queue that is there; an old file lacks some."""
    sql = looks()
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
    """Read every page and index of the copy, and count again."""
    # Nobody else knows it: no locks, no log.
    try:
        with closing(_opened(f"{address_of(unfinished)[:-2]}ro&immutable=1")) as copy:
            copy.set_progress_handler(lambda: 0, 100_000)  # where Python heeds a signal
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
