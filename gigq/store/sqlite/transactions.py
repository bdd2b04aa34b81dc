"""Transactions on a connection of SQLite, and the statements that run in them."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gigq.model import clock
from gigq.model.storable_text import storable_value
from gigq.store.dialect import SQLITE
from gigq.store.session import NOTHING, Session, UnreadableText
from gigq.store.sqlite.checkpoint import after_commit
from gigq.store.sqlite.connections import StoreConnection, set_synchronous
from gigq.store.sqlite.errors import translated, until_free
from gigq.store.sqlite.forks import inside_sqlite
from gigq.store.sqlite.self_deadlock import refuse_to_wait
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gigq.store.session import Limits, Row
    from gigq.store.sqlite.write_queue import WriteQueue

Value = TypeVar("Value")
Bounds = tuple[str, str, tuple[str, ...]]


class SqliteSession(Session):
    """A connection of SQLite inside a transaction."""

    __slots__ = ("_cursor", "_sql")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.now = clock.utc_now()
        self._sql = statements(SQLITE)
        self._cursor = _plain_cursor(connection)

    @property
    def reads_leniently(self) -> bool:
        """True when text that is not UTF-8 is decoded with replacements instead of refused."""
        return self.connection.text_factory is not str

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

    def run_script(self, script: str) -> None:
        """Run the statements of a script; `executescript` would commit the transaction."""
        for statement in _split(script):
            self._cursor.execute(statement)

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


class WriteTransaction:
    """One write transaction, from `with` to the commit or the rollback."""

    __slots__ = ("_bounds", "_connection", "_durable", "_limits", "_lock", "_write_queue")

    def __init__(self, limits: Limits, connection: Any, *, durable: bool) -> None:
        self._limits = limits
        self._connection = connection
        self._durable = durable

    def __enter__(self) -> Session:
        connection = self._connection
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
            patiently(self._limits, connection, begin)
            return SqliteSession(connection)
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
        if write_queue is not None and write_queue.enter(urgent=self._limits.urgent):
            self._write_queue = write_queue

    def _leave_write_queue(self) -> None:
        if self._write_queue is not None:
            write_queue, self._write_queue = self._write_queue, None
            write_queue.leave()


def single_write(limits: Limits, connection: Any) -> WriteTransaction:
    """Return a transaction: on SQLite its statements cost no round trip."""
    return WriteTransaction(limits, connection, durable=True)


def now(_limits: Limits, _connection: Any) -> str:
    """Return the time of this host, which is that of the file."""
    return clock.utc_now()


@contextmanager
def read(limits: Limits, connection: Any) -> Iterator[Session]:
    """Open a read transaction on a connection; inside a transaction it is a part of that one."""
    if connection.in_transaction:
        yield SqliteSession(connection)
        return
    lock = inside_sqlite()
    patiently(limits, connection, partial(_kept, lock, partial(_take_snapshot, connection)))
    try:
        yield SqliteSession(connection)
    except sqlite3.Error as error:
        raise translated(error, _path_of(connection)) from error
    finally:
        _undo(connection, ("ROLLBACK",))
        lock.release()


def is_open(connection: Any) -> bool:
    """Return True inside a transaction; False for a closed connection."""
    try:
        return bool(connection.in_transaction)
    except sqlite3.ProgrammingError:
        return False


is_touched = is_open


def restore(connection: Any) -> None:
    """Do nothing: a file has no settings of a session that could stop the queue."""


def roll_back(connection: Any) -> None:
    """Undo the transaction on a connection."""
    _undo(connection, _OWN[2])


def rows_of(limits: Limits, connection: Any, name: str, params: Mapping[str, Any]) -> list[Row]:
    """Return every row of a single reading statement."""
    session = SqliteSession(connection)
    lock = inside_sqlite()

    def rows() -> list[Row]:
        with lock:
            return session.all(name, params)

    return patiently(limits, connection, rows)


def patiently(limits: Limits, connection: Any, action: Callable[[], Value]) -> Value:
    """Run `action`, and repeat it while the database is locked."""
    try:
        return action()
    except (sqlite3.Error, UnreadableText):
        path = _path_of(connection)
        return until_free(action, limits.lock_timeout, path, refuse_to_wait)


_OWN: Bounds = ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",))
_PART: Bounds = (
    "SAVEPOINT gigq",
    "RELEASE gigq",
    ("ROLLBACK TO gigq", "RELEASE gigq"),
)


def _split(script: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would commit the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


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
