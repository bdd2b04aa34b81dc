"""Transactions and named statements on a connection that the caller supplies."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gigq.errors import StoreError
from gigq.model import clock
from gigq.model.storable_text import storable_value
from gigq.store.dialect import dialect_of
from gigq.store.sqlite.checkpoint import after_commit
from gigq.store.sqlite.connections import StoreConnection, set_synchronous
from gigq.store.sqlite.errors import translated, until_free
from gigq.store.sqlite.forks import inside_sqlite
from gigq.store.sqlite.self_deadlock import refuse_to_wait
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from gigq.store.sqlite.write_queue import WriteQueue

Row = dict[str, Any]
Value = TypeVar("Value")
Bounds = tuple[str, str, tuple[str, ...]]

LOCK_TIMEOUT = 30.0
NOTHING: Mapping[str, Any] = {}


class UnreadableText(StoreError):  # noqa: N818 - as the other store errors are named
    """Text that is not UTF-8 in a row. From now on the connection decodes it with replacements."""


class Session:
    """One connection inside a transaction, on which named statements run.

    Attributes:
        now: the database's time at the start of the transaction, as stored text.
        connection: the connection, for scripts of the schema.
    """

    __slots__ = ("connection", "now", "_cursor", "_sql")  # noqa: RUF023 - the public ones first

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.now = clock.utc_now()
        self._sql = statements(dialect_of(connection))
        self._cursor = _plain_cursor(connection)

    @property
    def reads_leniently(self) -> bool:
        """True when text that is not UTF-8 is decoded with replacements instead of refused."""
        return self.connection.text_factory is not str

    def one(self, name: str, params: Mapping[str, Any] = NOTHING) -> Row | None:
        """Return the first row, or None. The statement always runs to its end."""
        rows = self.all(name, params)
        return rows[0] if rows else None

    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row as a dict."""
        return self.all_of(self._sql[name], params)

    def all_of(self, sql: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row of a statement that was made from a template."""
        cursor = self._cursor
        try:
            cursor.execute(sql, params)
            rows = cursor.fetchall()
        except UnicodeEncodeError:
            return self.all_of(sql, _storable(params))
        except sqlite3.OperationalError as error:
            self._note_unreadable_text(error)
            raise
        if not rows:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def run(self, name: str, params: Mapping[str, Any] = NOTHING) -> int:
        """Run a statement without rows and return the number of rows it changed."""
        try:
            return int(self._cursor.execute(self._sql[name], params).rowcount)
        except UnicodeEncodeError:
            return self.run(name, _storable(params))

    def many(self, name: str, params: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> int:
        """Run a statement without rows for each set of `params`; return the rows changed."""
        return int(self._cursor.executemany(self._sql[name], params).rowcount)

    def _note_unreadable_text(self, error: sqlite3.OperationalError) -> None:
        # An error without SQLite's code is Python's own: it could not decode what foreign SQL
        # wrote. Decoding leniently from the start would be slow.
        if not hasattr(error, "sqlite_errorcode"):
            # The unfinished statement would hold its snapshot, and this connection could not
            # write any more.
            self._cursor.close()
            self._cursor = _plain_cursor(self.connection)
            self.connection.text_factory = partial(str, encoding="utf-8", errors="replace")
            raise UnreadableText(f"{_path_of(self.connection)}: {error}") from error


class Database:
    """A database behind a function that returns a connection to it.

    Args:
        get_connection: called at the start of every transaction; returns any `sqlite3`
            connection, of `open_connection` or of a subclass.
        lock_timeout: seconds to wait for a locked database before `StoreLocked`, or a function
            that returns them, called for each wait.
        durable: True when every commit must survive a power cut, also of transactions that do
            not ask for it.
        urgent: True when a caller waits for the transactions; they come first in the write queue.
    """

    def __init__(
        self,
        get_connection: Callable[[], Any],
        lock_timeout: float | Callable[[], float] = LOCK_TIMEOUT,
        *,
        durable: bool = False,
        urgent: bool = False,
    ) -> None:
        self._get_connection = get_connection
        self.lock_timeout = lock_timeout
        self.durable = durable
        self.urgent = urgent

    @property
    def lock_timeout(self) -> float:
        """Seconds to wait for a locked database before `StoreLocked`."""
        timeout = self._lock_timeout
        return timeout() if callable(timeout) else timeout

    @lock_timeout.setter
    def lock_timeout(self, seconds: float | Callable[[], float]) -> None:
        self._lock_timeout = seconds

    def transaction(self, *, durable: bool) -> AbstractContextManager[Session]:
        """Return a write transaction; inside an open transaction it is a savepoint of that one.

        Args:
            durable: True when the commit must survive a power cut.

        Raises:
            StoreLocked: the write lock was not free within the lock timeout.
            StoreError: the database refused; nothing was changed.
        """
        return _Transaction(self, durable=durable or self.durable)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read transaction: every statement sees the same moment. Keep it short."""
        connection = self._get_connection()
        if connection.in_transaction:
            yield Session(connection)
            return
        lock = inside_sqlite()
        self._patiently(connection, partial(_kept, lock, partial(_take_snapshot, connection)))
        try:
            yield Session(connection)
        except sqlite3.Error as error:
            raise translated(error, _path_of(connection)) from error
        finally:
            _undo(connection, ("ROLLBACK",))
            lock.release()

    def one(self, name: str, params: Mapping[str, Any] = NOTHING) -> Row | None:
        """Return the first row of a single reading statement, or None."""
        rows = self.all(name, params)
        return rows[0] if rows else None

    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row of a single reading statement."""
        session = Session(self._get_connection())
        lock = inside_sqlite()

        def rows() -> list[Row]:
            with lock:
                return session.all(name, params)

        return self._patiently(session.connection, rows)

    def _patiently(self, connection: Any, action: Callable[[], Value]) -> Value:
        try:
            return action()
        except (sqlite3.Error, UnreadableText):
            path = _path_of(connection)
            return until_free(action, self.lock_timeout, path, refuse_to_wait)


class _Transaction:
    """One write transaction, from `with` to the commit or the rollback."""

    __slots__ = ("_bounds", "_connection", "_database", "_durable", "_lock", "_write_queue")

    def __init__(self, database: Database, *, durable: bool) -> None:
        self._database = database
        self._durable = durable

    def __enter__(self) -> Session:
        connection = self._connection = self._database._get_connection()
        self._write_queue: WriteQueue | None = None
        if connection.in_transaction:
            self._bounds = _PART
        else:
            self._bounds = _OWN
            set_synchronous(connection, "FULL" if self._durable else "NORMAL")
            self._wait_in_write_queue()
        lock = self._lock = inside_sqlite()
        try:
            begin = partial(_kept, lock, partial(connection.execute, self._bounds[0]))
            self._database._patiently(connection, begin)
            return Session(connection)
        except BaseException:
            self._leave_write_queue()
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            self._end(error)
        finally:
            self._lock.release()

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._undo(error)
            return
        connection = self._connection
        try:
            connection.execute(self._bounds[1])
        except BaseException as refused:
            self._undo(refused)
            raise
        self._leave_write_queue()
        if isinstance(connection, StoreConnection) and not connection.in_transaction:
            after_commit(connection)

    def _undo(self, error: BaseException) -> None:
        _undo(self._connection, self._bounds[2])
        self._leave_write_queue()
        if isinstance(error, sqlite3.Error):
            raise translated(error, _path_of(self._connection)) from error

    def _wait_in_write_queue(self) -> None:
        write_queue = getattr(self._connection, "write_queue", None)
        if write_queue is not None and write_queue.enter(urgent=self._database.urgent):
            self._write_queue = write_queue

    def _leave_write_queue(self) -> None:
        if self._write_queue is not None:
            write_queue, self._write_queue = self._write_queue, None
            write_queue.leave()


_OWN: Bounds = ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",))
_PART: Bounds = (
    "SAVEPOINT gigq",
    "RELEASE gigq",
    ("ROLLBACK TO gigq", "RELEASE gigq"),
)


def _kept(lock: Any, action: Callable[[], object]) -> None:
    """Run `action` under a lock; keep the lock if it succeeds, else release it."""
    lock.acquire()
    try:
        action()
    except BaseException:
        lock.release()
        raise


def _plain_cursor(connection: Any) -> Any:
    """Return a cursor that yields plain tuples, also with a row factory on the connection."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def _storable(params: Mapping[str, Any]) -> Row:
    return {name: storable_value(value) for name, value in params.items()}


def _take_snapshot(connection: Any) -> None:
    # BEGIN alone reads nothing. Even a reader can meet a lock: while another connection recovers
    # the log after a crash, or closes as the last one.
    connection.execute("BEGIN")
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error:
        _undo(connection, ("ROLLBACK",))
        raise


def _undo(connection: Any, statements: Sequence[str]) -> None:
    for statement in statements:
        # After some errors SQLite has rolled back already, and a closed connection has no
        # transaction: then there is nothing to undo.
        with contextlib.suppress(sqlite3.Error):
            connection.execute(statement)


def _path_of(connection: Any) -> str:
    """Return the path of a connection's file, for messages."""
    known = getattr(connection, "path", "")
    if known:
        return str(known)
    cursor = connection.cursor()
    cursor.row_factory = None
    with contextlib.suppress(sqlite3.Error):
        return str(cursor.execute("PRAGMA database_list").fetchone()[2])
    return "the database"
