"""Transactions on a connection of PostgreSQL, and the statements that run in them."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gigq.model.storable_text import storable_list
from gigq.store.dialect import POSTGRES
from gigq.store.job_row import JobRow
from gigq.store.postgres import drivers
from gigq.store.postgres.bulk_insertion import copy_jobs, is_worthwhile
from gigq.store.postgres.errors import driver_errors_suppressed, is_from_driver
from gigq.store.postgres.values import from_database, to_database, to_text
from gigq.store.session import NOTHING, Deadlock, Session
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from gigq.store.session import Completion, Limits, Row

_ID = JobRow._fields.index("id")


class PostgresSession(Session):
    """A connection of PostgreSQL inside a transaction.

    Args:
        connection: the connection.
        cursor: a cursor of it whose rows are tuples.
        now: the server's time at the start of the transaction.
    """

    __slots__ = ("_cursor", "_sql")

    is_durable = True
    reads_leniently = False

    def __init__(self, connection: Any, cursor: Any, now: str) -> None:
        self.connection = connection
        self.now = now
        self._cursor = cursor
        self._sql = statements(POSTGRES)

    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row as a dict."""
        cursor = self._cursor
        cursor.execute(self._sql[name], to_database(params))
        if cursor.description is None:
            return []
        return from_database(cursor.fetchall(), cursor.description)

    def run(self, name: str, params: Mapping[str, Any] = NOTHING) -> int:
        """Run a statement without rows and return the number of rows it changed."""
        self._cursor.execute(self._sql[name], to_database(params))
        return int(self._cursor.rowcount)

    def run_script(self, script: str) -> None:
        """Run the statements of a script without parameters."""
        self._cursor.execute(script)

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> frozenset[str]:
        """Store the values of a `JobRow` for each new job, all in one statement.

        Returns:
            The ids that were stored before.
        """
        rows = list(rows)
        if len(rows) == 1:
            row = dict(zip(JobRow._fields, map(to_text, rows[0]), strict=True))
            self._cursor.execute(self._sql["insert_job"], row)
            return frozenset() if self._cursor.rowcount else frozenset((rows[0][_ID],))
        if is_worthwhile(self.connection, rows):
            self.read_time()
            if copy_jobs(self._cursor, self._sql["copy_jobs"], rows, self.now):
                return frozenset()
        columns = _columns(rows)
        if not columns:
            return frozenset()
        self._cursor.execute(self._sql["insert_jobs"], columns)
        stored = {row[0] for row in self._cursor.fetchall()}
        return frozenset(id_ for id_ in columns[_ID] if id_ is not None and id_ not in stored)

    def complete(self, rows: Sequence[Completion]) -> bool:
        """Complete executions and their jobs in one statement, which locks the jobs first."""
        self._cursor.execute(self._sql["complete_together"], [*_columns(rows), self.now])
        return bool(self._cursor.fetchone() == (len(rows), len(rows)))

    def release(self, claims: Iterable[tuple[str, str]]) -> dict[str, Row]:
        """Undo claims that have not started in one statement."""
        self._cursor.execute(self._sql["release_together"], [*_columns(claims), self.now])
        rows = from_database(self._cursor.fetchall(), self._cursor.description)
        return {row["execution_id"]: row for row in rows}

    def queues_with_due_jobs(self, excluded: Collection[str], limit: int) -> tuple[list[Any], int]:
        """Return the names of the queues with due jobs, and the number of those jobs."""
        params = {"excluded": storable_list(excluded), "limit": limit}
        row = self.one("due_in_every_queue", params)
        assert row is not None
        return json.loads(row["queues"]), row["due"]

    def best_due(self, queues: Sequence[str], limit: int) -> list[Row]:
        """Return the best due jobs of some queues, in their order, and lock them."""
        if len(queues) > 1:
            return super().best_due(queues, limit)
        return self.all("best_due_in_queue", {"queue": queues[0], "limit": limit})

    def open_and_claim(self, taken: Mapping[str, int], who: Mapping[str, Any]) -> bool:
        """Claim jobs and open their executions in one statement, at the time of the statement."""
        given = {**who, "numbers": _array(taken.values()), "executions": _array(taken)}
        row = self.one("open_and_claim", given)
        assert row is not None
        self.now = given["now"] = row["now"]
        if row["opened"] != len(taken):  # foreign SQL left an execution of a job open
            self.run("supersede_others_of_claimed", given)
            self.run("open_executions_of_claimed", given)
        return True

    def read_time(self) -> None:
        """Set `now` to a time after the last commit that this transaction has seen."""
        self.now = drivers.last_value(self._cursor, self._sql["server_time"])

    def lock(self, name: str, params: Mapping[str, Any] = NOTHING) -> None:
        """Lock the rows of the statement `lock_…`, until the transaction ends."""
        self._cursor.execute(self._sql[f"lock_{name}"], to_database(params))

    def many(self, name: str, params: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> int:
        """Run a statement without rows for each set of `params`; return the rows changed.

        Where a statement for all of them exists, that one runs.
        """
        at_once = self._sql.get(f"{name}_at_once")
        if at_once is None:
            return drivers.run_many(self._cursor, self._sql[name], map(to_database, params))
        columns = _columns(params)
        if not columns:
            return 0
        self._cursor.execute(at_once, columns)
        return int(self._cursor.rowcount)


def _columns(rows: Iterable[Any]) -> list[list[str | None]]:
    """Return the columns of rows as texts, which the statement casts."""
    return [list(map(to_text, column)) for column in zip(*rows, strict=True)]


def _array(values: Iterable[Any]) -> str:
    """Return an array of ids or numbers in the form of the server."""
    return f"{{{','.join(map(str, values))}}}"


class WriteTransaction:
    """One write transaction, from `with` to the commit or the rollback.

    Every commit is durable as the server's `synchronous_commit` says: a server that loses commits
    while its clients go on would let a job start twice.
    """

    __slots__ = ("_connection", "_is_part", "_limits")

    def __init__(self, limits: Limits, connection: Any, *, durable: bool) -> None:  # noqa: ARG002
        self._limits = limits
        self._connection = connection

    def __enter__(self) -> Session:
        connection = self._connection
        self._is_part = drivers.in_transaction(connection)
        try:
            if self._is_part:
                return _session(connection, "SAVEPOINT gigq")
            return _session(connection, *_begin(connection), _set_up("writing", self._limits))
        except BaseException as error:
            self._undo(error)
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self._undo(error)
            return
        try:
            if self._is_part:
                drivers.run(self._connection, "RELEASE SAVEPOINT gigq")
            else:
                drivers.commit(self._connection)
        except BaseException as refused:
            self._undo(refused, may_be_done=not self._is_part)
            raise

    def _undo(self, error: BaseException, *, may_be_done: bool = False) -> None:
        _undo(self._connection, is_part=self._is_part)
        if isinstance(error, drivers.REFUSALS):
            drivers.close_own(self._connection)
        if is_from_driver(error):
            raise drivers.store_error(error, self._connection, may_be_done=may_be_done) from error


@contextmanager
def single_write(limits: Limits, connection: Any) -> Iterator[Session]:
    """Run one statement in the transaction that the server makes of it: one round trip, not three.

    Inside a transaction, or where the driver begins one, it is a write transaction like others. So
    it is where each transaction begins with settings. On an application's own connection the limit
    of its session holds.
    """
    if not _may_be_single(connection):
        with WriteTransaction(limits, connection, durable=True) as session:
            yield session
        return
    with drivers.store_errors(connection, may_be_done=True):
        drivers.limit_locks(connection, limits.lock_timeout)
        yield PostgresSession(connection, drivers.cursor_of(connection), "")


def now(limits: Limits, connection: Any) -> str:
    """Return the server's time."""
    with read(limits, connection) as session:
        return session.now


@contextmanager
def read(limits: Limits, connection: Any) -> Iterator[Session]:
    """Open a read transaction on a connection; inside a transaction it is a part of that one."""
    is_part = drivers.in_transaction(connection)
    with drivers.store_errors(connection):
        try:
            if is_part:
                yield _session(connection)
            else:
                yield _session(connection, *_begin(connection), _set_up("reading", limits))
        finally:
            if not is_part:
                _undo(connection, is_part=False)


def is_open(connection: Any) -> bool:
    """Return True inside a transaction, or in the middle of a statement."""
    return drivers.in_transaction(connection)


def is_touched(connection: Any) -> bool:
    """Return True inside a transaction, and when code of the application has used a connection."""
    return getattr(connection, "was_used", False) or drivers.in_transaction(connection)


def restore(connection: Any) -> None:
    """Undo what code of the application has set on a connection of gigq's own; close a lost one."""
    if getattr(connection, "was_used", False):
        try:
            connection.restore()
        except Exception as error:
            if not is_from_driver(error):
                raise
            connection.close()


def roll_back(connection: Any) -> None:
    """Undo the transaction on a connection, or close the connection where that is not possible.

    It is not while a statement is under way, and inside a block of the driver that has not ended.
    """
    _undo(connection, is_part=False)
    if drivers.in_transaction(connection):
        connection.close()


def rows_of(limits: Limits, connection: Any, name: str, params: Mapping[str, Any]) -> list[Row]:
    """Return every row of a single reading statement; repeat it once if the server undoes it."""
    if not drivers.in_transaction(connection):
        with suppress(Deadlock), _read_once(limits, connection) as session:
            return session.all(name, params)
    with _read_once(limits, connection) as session:
        return session.all(name, params)


@contextmanager
def _read_once(limits: Limits, connection: Any) -> Iterator[Session]:
    """Open a read transaction for one statement: one round trip where its limit is in force."""
    if _may_be_single(connection) and drivers.lock_limit_of(connection) == limits.lock_timeout:
        with drivers.store_errors(connection):
            yield PostgresSession(connection, drivers.cursor_of(connection), "")
        return
    with read(limits, connection) as session:
        yield session


def _may_be_single(connection: Any) -> bool:
    """Return True where a statement is a transaction of its own, without settings before it."""
    is_alone = connection.autocommit and not drivers.set_up_of(connection)
    return is_alone and not drivers.in_transaction(connection)


def _begin(connection: Any) -> tuple[str, ...]:
    """Return the statements that begin a transaction; a driver may do the first by itself."""
    return (*(("BEGIN",) if connection.autocommit else ()), *drivers.set_up_of(connection))


def _set_up(name: str, limits: Limits) -> str:
    milliseconds = max(1, round(limits.lock_timeout * 1000))
    return statements(POSTGRES)[f"set_up_{name}"].format(milliseconds=milliseconds)


def _session(connection: Any, *before: str) -> Session:
    cursor = drivers.cursor_of(connection)
    script = "; ".join((*before, statements(POSTGRES)["server_time"]))
    now = drivers.last_value(cursor, script)
    return PostgresSession(connection, cursor, now)


def _undo(connection: Any, *, is_part: bool) -> None:
    with driver_errors_suppressed():  # after a lost connection there is nothing to undo
        if is_part:
            drivers.run(connection, "ROLLBACK TO SAVEPOINT gigq; RELEASE SAVEPOINT gigq")
        else:
            drivers.roll_back(connection)
