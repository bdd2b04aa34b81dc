"""Reads a database without write permission and without leaving a file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreUnavailable
from gigq.store import migrate, serving
from gigq.store.closing import turn_to_close, turn_to_read
from gigq.store.connect import address_of
from gigq.store.database import NOTHING, Database, Row, Session
from gigq.store.failures import translated
from gigq.store.identity import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TRIES = 5
_PAUSE = 0.02
_WAL_FORMAT = 2
_FORMAT_AT = 18
_LENIENT = partial(str, encoding="utf-8", errors="replace")


class ReadingDatabase(Database):
    """A database that is opened for each reading statement, and closed again.

    A connection that stays would keep the last process that writes from leaving one file. A file of
    an older schema is copied into memory and brought up to date there.

    Args:
        path: absolute path of the database file, in which there is a queue.
    """

    def __init__(self, path: str) -> None:
        super().__init__(_no_connection)
        self._path = path
        self._copy: sqlite3.Connection | None = None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read transaction: every statement sees the same moment."""
        with self._opened() as database, database.read() as session:
            yield session

    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Every row of a single reading statement."""
        with self._opened() as database:
            return database.all(name, params)

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        copy = self._copy
        if copy is not None:
            yield Database(lambda: copy)
            return
        with turn_to_read(self._path), reading(self._path) as connection:
            self._copy = copy = _brought_up_to_date(connection)
            yield Database(lambda: copy or connection)


@contextmanager
def reading_long(path: str) -> Iterator[sqlite3.Connection]:
    """A connection that reads for long, while others may begin to write.

    The owner of a file that is not in use opens it as a writer does, which keeps the moment that
    is read, and closes it as the last one, which leaves no file. Others read as by `reading`; if
    all who used the file end in that time, its owner leaves it complete for them.

    Raises:
        StoreError: as `reading`.
    """
    is_owner = os.geteuid() in (0, os.stat(path).st_uid)  # noqa: PTH116
    if is_owner and _is_unused(path):
        with _writing(path) as connection:
            yield connection
        return
    was_in_use = is_owner and bool(serving.users(path))
    with reading(path) as connection:
        yield connection
    if was_in_use and not serving.users(path):
        with _writing(path):  # the last connection writes the log into the file
            pass


@contextmanager
def _writing(path: str) -> Iterator[sqlite3.Connection]:
    try:
        connection = _opened(address_of(path))
    except sqlite3.Error as error:
        raise translated(error, path) from error
    try:
        yield connection
    finally:
        with turn_to_close(path):
            connection.close()


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """A connection that reads the database at an absolute path.

    Raises:
        StoreUnavailable: it cannot be read, or another process has begun to use it.
        StoreCorrupt: it is no database.
    """
    before = stamp(path)
    with (
        tempfile.TemporaryDirectory(prefix="gigq-") if _lacks_index(path) else _nowhere() as folder
    ):
        connection = _patiently_opened(path, folder)
        with closing(connection):
            yield connection
        if _is_unused(path) and stamp(path) != before:
            raise StoreUnavailable(f"{path} was changed while it was read; try again")


def _patiently_opened(path: str, folder: str | None) -> sqlite3.Connection:
    for _ in range(_TRIES):
        try:
            return _opened(_address(path) if folder is None else _address_of_copy(path, folder))
        except sqlite3.OperationalError as error:
            last = error  # the log was made or deleted since the look at it
            time.sleep(_PAUSE)
        except sqlite3.Error as error:
            raise translated(error, path) from error
    raise translated(last, path) from last


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=5, isolation_level=None)
    connection.text_factory = _LENIENT
    try:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA schema_version").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _address(path: str) -> str:
    """Return how to open a file, so that SQLite makes nothing beside it."""
    address = f"{address_of(path)[:-2]}ro"
    if not _is_unused(path):
        return f"{address}&readonly_shm=1"
    return f"{address}&immutable=1" if _is_in_wal_mode(path) else address


def _address_of_copy(path: str, folder: str) -> str:
    """Copy a file and its log, which no process has open: reading the log makes an index."""
    copy = os.path.join(folder, "copy.db")  # noqa: PTH118
    shutil.copyfile(path, copy)
    shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    return address_of(copy)


def _is_unused(path: str) -> bool:
    return not _size(f"{path}-wal") and not os.path.exists(f"{path}-shm")  # noqa: PTH110


def _lacks_index(path: str) -> bool:
    return bool(_size(f"{path}-wal")) and not os.path.exists(f"{path}-shm")  # noqa: PTH110


def _is_in_wal_mode(path: str) -> bool:
    # It may be opened and closed: no connection of this process has it open, or there were a log.
    if not os.path.isfile(path):  # noqa: PTH113
        return False
    with Path(path).open("rb") as file:
        return file.read(_FORMAT_AT + 2)[_FORMAT_AT:] == bytes([_WAL_FORMAT] * 2)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - only asked
    except OSError:
        return 0


def _brought_up_to_date(connection: sqlite3.Connection) -> sqlite3.Connection | None:
    """Copy a queue of an older schema into memory and migrate it there; None for today's."""
    if migrate.is_up_to_date(Database(lambda: connection)):
        return None
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.text_factory = _LENIENT
    connection.backup(copy)
    migrate.apply(Database(lambda: copy), migrate.Begin.NEVER)
    return copy


@contextmanager
def _nowhere() -> Iterator[None]:
    yield None


def _no_connection() -> Any:
    raise AssertionError("a database that is only read has no connection of its own")
