"""A database, and its transactions with named statements."""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from gigq.store.dialect import dialect_of
from gigq.store.session import NOTHING, Row, Session, UnreadableText

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from gigq.store.session import Transactions

LOCK_TIMEOUT = 30.0

__all__ = ["LOCK_TIMEOUT", "NOTHING", "Database", "Row", "Session", "UnreadableText"]


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

    @property
    def dialect(self) -> str:
        """The dialect of its connections."""
        return dialect_of(self._get_connection())

    def connection(self) -> Any:
        """Return the connection of the next transaction."""
        return self._get_connection()

    def now(self) -> str:
        """Return the database's time, as stored text."""
        connection = self._get_connection()
        return transactions_of(dialect_of(connection)).now(self, connection)

    def transaction(self, *, durable: bool) -> AbstractContextManager[Session]:
        """Return a write transaction; inside an open transaction it is a savepoint of that one.

        Args:
            durable: True when the commit must survive a power cut.

        Raises:
            StoreLocked: the write lock was not free within the lock timeout.
            StoreError: the database refused; nothing was changed.
        """
        connection = self._get_connection()
        transactions = transactions_of(dialect_of(connection))
        return transactions.WriteTransaction(self, connection, durable=durable or self.durable)

    def single_write(self) -> AbstractContextManager[Session]:
        """Return a durable write transaction for one statement, which may end with it.

        The session has no time, and nothing may be undone after the statement.

        Raises:
            StoreLocked, StoreError: as for `transaction`.
        """
        connection = self._get_connection()
        return transactions_of(dialect_of(connection)).single_write(self, connection)

    def read(self) -> AbstractContextManager[Session]:
        """Open a read transaction: every statement sees the same moment. Keep it short."""
        connection = self._get_connection()
        return transactions_of(dialect_of(connection)).read(self, connection)

    def one(self, name: str, params: Mapping[str, Any] = NOTHING) -> Row | None:
        """Return the first row of a single reading statement, or None."""
        rows = self.all(name, params)
        return rows[0] if rows else None

    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row of a single reading statement."""
        connection = self._get_connection()
        return transactions_of(dialect_of(connection)).rows_of(self, connection, name, params)


def is_in_transaction(connection: Any) -> bool:
    """Return True inside a transaction; False for a closed connection. It asks no server."""
    return transactions_of(dialect_of(connection)).is_open(connection)


def touch_check(connection: Any) -> Callable[[], bool]:
    """Return a quick function that is True in a transaction, or where a job may have left settings.

    Settings of the session are meant, on a connection of gigq's own to a server.
    """
    return partial(transactions_of(dialect_of(connection)).is_touched, connection)


def restore(connection: Any) -> None:
    """Undo what a job has set on gigq's own connection for the session."""
    transactions_of(dialect_of(connection)).restore(connection)


def roll_back(connection: Any) -> None:
    """Undo the transaction on a connection."""
    transactions_of(dialect_of(connection)).roll_back(connection)


@cache
def transactions_of(dialect: str) -> Transactions:
    """Return the module with the transactions of a dialect; psycopg is loaded at the first use."""
    return cast("Transactions", import_module(f"gigq.store.{dialect}.transactions"))
