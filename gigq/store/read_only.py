"""Reading of a database without write permission and without leaving files."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreError, StoreGone, StoreUnavailable
from gigq.store import migrate
from gigq.store.database import NOTHING, Database, Row, Session
from gigq.store.dialect import SQLITE
from gigq.store.sqlite.close_in_turn import turn_to_close, turn_to_read
from gigq.store.sqlite.connections import address_of
from gigq.store.sqlite.errors import translated
from gigq.store.sqlite.file.filesystem import refuse_network, resolve
from gigq.store.sqlite.file.identity import stamp
from gigq.store.sqlite.memory import MemoryConnection
from gigq.store.sqlite.processes import lock_holders
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Stamp = tuple[int, int]
_Stamps = tuple[_Stamp, _Stamp | None]

_TRIES = 5
_PAUSE = 0.02
_WAL_FORMAT = 2
_FORMAT_AT = 18
_WITHOUT_LOCKS = "&immutable=1"
_LENIENT = partial(str, encoding="utf-8", errors="replace")


class ReadingDatabase(Database):
    """A database that is opened for each reading statement and closed after it.

    A connection that stays open would prevent the last writing process from leaving one file. A
    file of an older schema is copied into memory and migrated there.

    Args:
        path: absolute path of a database file with a queue.
    """

    def __init__(self, path: str) -> None:
        super().__init__(_no_connection)
        self._path = path
        self._copy: sqlite3.Connection | None = None
        self._copied: _Stamps | None = None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read transaction: every statement sees the same moment."""
        with self._opened() as database, database.read() as session:
            yield session

    def now(self) -> str:
        """Return the database's time, as stored text."""
        with self._opened() as database:
            return database.now()

    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row of a single reading statement."""
        with self._opened() as database:
            return database.all(name, params)

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        now = _stamps(self._path)
        if self._copy is None or now != self._copied:
            with turn_to_read(self._path), reading(self._path) as connection:
                self._keep(_brought_up_to_date(connection), now)
                yield Database(lambda: self._copy or connection)
            return
        yield Database(lambda: self._copy)

    def _keep(self, copy: sqlite3.Connection | None, copied: _Stamps) -> None:
        if self._copy is not None:
            self._copy.close()
        self._copy, self._copied = copy, copied


@contextmanager
def reading_long(path: str) -> Iterator[sqlite3.Connection]:
    """Open a connection for a long read, during which other processes may begin to write.

    The owner of an unused file opens it as a writer, which keeps the moment that is read, and
    closes it as the last process, which leaves no other file. Otherwise it is opened as by
    `reading`; if all processes that used the file end during the read, the owner then writes the
    log into it.

    Raises:
        StoreError: as `reading`.
    """
    is_owner = os.geteuid() in (0, os.stat(path).st_uid)  # noqa: PTH116
    if is_owner and _is_unused(path):
        with _writing(path) as connection:
            yield connection
        return
    was_in_use = is_owner and bool(lock_holders.users(path))
    with reading(path) as connection:
        yield connection
    if was_in_use and not lock_holders.users(path):
        with _writing(path):  # closing writes the log into the file
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
    """Open a connection that reads the database at an absolute path.

    Raises:
        StoreUnavailable: the file cannot be read, or another process has begun to use it.
        StoreCorrupt: the file is no database.
    """
    with ExitStack() as stack:
        connection, before = _patiently_opened(path, stack)
        with closing(connection):
            yield connection
        if before is not None and _stamps(path)[0] != before[0]:
            raise _changed(path)


def _patiently_opened(path: str, stack: ExitStack) -> tuple[sqlite3.Connection, _Stamps | None]:
    """Open the file, or a copy of it and its log where opening would create an index.

    Args:
        path: the database file.
        stack: removes the copy in the end.

    Returns:
        The connection; and the state of the file before, if SQLite does not notice a writer that
        comes now.
    """
    error: StoreError = _changed(path)
    for _ in range(_TRIES):
        before = _stamps(path)
        is_copy = _lacks_index(path)
        try:
            address = _address_of_copy(path, stack) if is_copy else _address(path)
            connection = _opened(address)
        except (sqlite3.OperationalError, FileNotFoundError) as failure:
            # The log was created or deleted since `_lacks_index`.
            if isinstance(failure, sqlite3.Error):
                error = translated(failure, path)
            time.sleep(_PAUSE)
            continue
        except sqlite3.Error as failure:
            raise translated(failure, path) from failure
        if not is_copy:
            return connection, before if address.endswith(_WITHOUT_LOCKS) else None
        if _stamps(path) == before:
            return connection, None
        connection.close()
    raise error


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
    """Return the URI with which SQLite opens a file and creates none beside it."""
    address = f"{address_of(path)[:-2]}ro"
    if not _is_unused(path):
        return f"{address}&readonly_shm=1"
    return f"{address}{_WITHOUT_LOCKS}" if _is_in_wal_mode(path) else address


def _address_of_copy(path: str, stack: ExitStack) -> str:
    """Copy a file and its log, which no process has open, and return the copy's URI."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gigq-"))
    copy = os.path.join(folder, "copy.db")  # noqa: PTH118
    shutil.copyfile(path, copy)
    shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    return address_of(copy)


def _is_unused(path: str) -> bool:
    return not _size(f"{path}-wal") and not os.path.exists(f"{path}-shm")  # noqa: PTH110


def _lacks_index(path: str) -> bool:
    return bool(_size(f"{path}-wal")) and not os.path.exists(f"{path}-shm")  # noqa: PTH110


def _is_in_wal_mode(path: str) -> bool:
    # Opening and closing it drops no lock: with a connection in this process a log would exist.
    if not os.path.isfile(path):  # noqa: PTH113
        return False
    with Path(path).open("rb") as file:
        return file.read(_FORMAT_AT + 2)[_FORMAT_AT:] == bytes([_WAL_FORMAT] * 2)


def _stamps(path: str) -> _Stamps:
    """Return the present states of the file and its log."""
    file = stamp(path)
    with suppress(StoreGone):
        return file, stamp(f"{path}-wal")
    return file, None


def _changed(path: str) -> StoreUnavailable:
    return StoreUnavailable(f"{path} was changed while it was read; try again")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - beside other calls of os
    except OSError:
        return 0


def _brought_up_to_date(connection: sqlite3.Connection) -> sqlite3.Connection | None:
    """Copy a queue of an older schema into memory and migrate it; None for one that it may use."""
    if migrate.is_usable(Database(lambda: connection)):
        return None
    copy = sqlite3.connect(":memory:", isolation_level=None, factory=MemoryConnection)
    copy.text_factory = _LENIENT
    connection.backup(copy)
    migrate.apply(Database(lambda: copy), migrate.Begin.NEVER)
    return copy


def refuse_without_queue(path: str | os.PathLike[str]) -> None:
    """Refuse a file without a queue, which opening would create.

    Args:
        path: the database file.

    Raises:
        StoreUnavailable: the file does not exist, cannot be read, or has no queue.
        StoreCorrupt: the file is not a database.
        UnsupportedStore: the path is not a file, or on a network file system.
    """
    real = resolve(path)
    refuse_network(real)
    _refuse_unreadable(real, os.fspath(path))
    tables = _tables(real)
    if "jobs" not in tables:
        other = any(not name.startswith("sqlite_") for name in tables)
        remedy = "it has tables of another program" if other else "submit a job first"
        name = "name another file" if other else "or name another"
        raise StoreUnavailable(f"{path} has no queue in it; {remedy}, {name}")


def _refuse_unreadable(path: str, shown: str) -> None:
    # Without opening it: closing a file that SQLite has open in this process drops its locks.
    try:
        found = Path(path).stat()
    except OSError as error:
        raise StoreUnavailable(
            f"there is no database {shown} ({error.strerror}); submit a job first, or name another"
        ) from error
    if not os.access(path, os.R_OK):
        raise StoreUnavailable(
            f"{shown} may not be read by this user; it belongs to user {found.st_uid}"
        ) from PermissionError(shown)


def _tables(path: str) -> set[str]:
    try:
        with turn_to_read(path), reading(path) as connection:
            rows = connection.execute(statements(SQLITE)["table_names"]).fetchall()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return {name for (name,) in rows}


def _no_connection() -> Any:
    raise AssertionError("a database that is only read has no connection of its own")
