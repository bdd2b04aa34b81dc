"""Access to a queue's database: a file that processes share, or the memory of one process."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from gigq.errors import StoreUnavailable, UnsupportedStore
from gigq.model.cached_property import cached_property
from gigq.model.database_address import is_address
from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import (
    LOCK_TIMEOUT,
    Database,
    is_in_transaction,
    restore,
    roll_back,
    touch_check,
)
from gigq.store.dialect import POSTGRES
from gigq.store.listeners import NoWakeups, NoWatch
from gigq.store.sqlite import connections
from gigq.store.sqlite.file.filesystem import resolve
from gigq.store.sqlite.memory import MemoryConnection
from gigq.store.sqlite.processes import run_locks, wakeup
from gigq.store.sqlite.processes.file_watch import DatabaseWatch
from gigq.store.verbs import settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gigq.store.postgres.backend import PostgresBackend

MEMORY = ":memory:"

_PATIENCE = 30.0
_POLL_INTERVAL = 0.2


class FileBackend:
    """A database file, with this process's connections, wakeups and run locks.

    Attributes:
        path: the file; None for a database in memory.
        lease: the length of a process's lease in seconds; None where none is needed, and 0 where
            none can be renewed.
    """

    lease: float | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def connection(self, *, may_create: bool = True) -> Any:
        """Return this thread's connection."""
        return connections.open_connection(self.path, may_create=may_create)

    def held(self) -> Any:
        """Return this thread's connection as it is, or None; a microsecond at most."""
        return connections.held_connection(self.path)

    def another_connection(self) -> Any:
        """Return a connection of the caller's own, also in a signal handler."""
        return connections.open_another(self.path)

    def close(self) -> None:
        """Close this thread's connection."""
        connections.close_connection(self.path)

    def run(self) -> str:
        """Return the run of this process, whose lock shows other processes that it lives."""
        return run_locks.run_of_this_process(self.path)

    def is_alive(self, run: str) -> bool:
        """Return True while the process that holds `run` lives."""
        return run_locks.is_alive(self.path, run)

    def sees(self, run: str) -> bool:  # noqa: ARG002 - as on a server
        """Return True: all processes that use a file are on one host."""
        return True

    def ended_leases(self, db: Database, runs: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 - as on a server
        """Return no run: a file has no leases."""
        return frozenset()

    def notify(self, due: Mapping[str, int]) -> None:
        """Wake idle workers for jobs that became due."""
        wakeup.notify(self.path, due)

    def notify_alike(self, queues: Iterable[str] | None) -> None:
        """Wake one more of the workers that serve the same queues."""
        wakeup.notify_alike(self.path, queues)

    def listener(self, queues: Iterable[str] | None) -> wakeup.Listener:
        """Return the object that waits for wakeups."""
        return wakeup.Listener(self.path, queues)

    def watch(self) -> DatabaseWatch:
        """Return the watch that reports writes to the file."""
        return DatabaseWatch(resolve(self.path))


class MemoryBackend:
    """A private database in the memory of this process; its threads have a connection each.

    It is deleted with this object. Workers on it poll for new jobs five times a second.
    """

    path = None
    lease: float | None = None

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._address = f"file:/gigq-{new_id()}?vfs=memdb"
        self._threads = _Threads()
        self._first = _opened(self._address)  # keeps the database while no thread has it open

    def connection(self, *, may_create: bool = True) -> Any:  # noqa: ARG002 - as for a file
        """Return this thread's connection.

        Raises:
            StoreUnavailable: this is a child of the process that has the database.
        """
        if os.getpid() != self._pid:
            raise StoreUnavailable(
                f"the queue is in the memory of process {self._pid}, and this is process "
                f"{os.getpid()}: what is stored here would be lost; give the queue a file"
            )
        held = self._threads.held
        if held is None:
            held = self._threads.held = _opened(self._address)
        return held

    def held(self) -> Any:
        """Return this thread's connection, or None."""
        return self._threads.held

    def close(self) -> None:
        """Close this thread's connection."""
        held, self._threads.held = self._threads.held, None
        if held is not None:
            held.close()

    def run(self) -> str:
        """Return the run of this process."""
        return f"memory:{self._pid}"

    def is_alive(self, run: str) -> bool:  # noqa: ARG002 - as for a file
        """Return True: there is no other process."""
        return True

    sees = is_alive

    def ended_leases(self, db: Database, runs: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 - as on a server
        """Return no run: memory has no leases."""
        return frozenset()

    def notify(self, due: Mapping[str, int]) -> None:
        """Do nothing: workers poll."""

    def notify_alike(self, queues: Iterable[str] | None) -> None:
        """Do nothing: workers poll."""

    def listener(self, queues: Iterable[str] | None) -> NoWakeups:  # noqa: ARG002 - as for a file
        """Return an object that waits without wakeups."""
        return NoWakeups()

    def watch(self) -> NoWatch:
        """Return a watch that reports no writes."""
        return NoWatch(_POLL_INTERVAL)


Backend: TypeAlias = "FileBackend | MemoryBackend | PostgresBackend"


def backend_of(path: str | os.PathLike[str]) -> Backend:
    """Return the backend of a path; each call with ":memory:" makes a new database."""
    if is_address(path):
        from gigq.store.postgres.backend import PostgresBackend

        return PostgresBackend(str(path))
    return MemoryBackend() if path == MEMORY else FileBackend(path)


class BackendOfPath:
    """An attribute for a queue's backend: the one that was set, else that of the `db_path`."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, _owner: type | None = None) -> Any:
        if instance is None:
            return self
        path = instance.db_path
        found, backend = instance.__dict__.get(self._name, _NOT_SET)
        if backend is None or found != path:
            backend = backend_of(path)
            instance.__dict__[self._name] = path, backend
        return backend

    def __set__(self, instance: Any, backend: Backend) -> None:
        instance.__dict__[self._name] = instance.db_path, backend


_NOT_SET = (None, None)


class StoreHandle:
    """A queue as one worker uses it, opened at the first use.

    Args:
        backend: the file or the memory of the queue.
        connect: returns the calling thread's connection; None for that of the backend.
        held: the same for a look at its state; None for that of the backend, which opens none.
        begin: the databases in which the tables of a queue may be created.
        lock_timeout: seconds to wait for a locked database, or a function that returns them.
        durable: True when every commit must survive a power cut.
        run: the run that the worker's executions name, or a function that returns it for a claim;
            None for that of this process.
    """

    def __init__(
        self,
        backend: Backend,
        connect: Callable[[], Any] | None = None,
        *,
        held: Callable[[], Any] | None = None,
        begin: migrate.Begin = migrate.Begin.EMPTY,
        lock_timeout: float | Callable[[], float] = LOCK_TIMEOUT,
        durable: bool = False,
        run: str | Callable[[], str] | None = None,
    ) -> None:
        self.backend = backend
        self.connect = connect or backend.connection
        self._held = held or backend.held
        self.durable = durable
        self._begin = begin
        self._lock_timeout = lock_timeout
        self._run = run

    @property
    def run(self) -> str:
        """The run whose lock shows other processes that the worker is alive."""
        run = self._run or self.backend.run
        return run() if callable(run) else run

    @cached_property
    def database(self) -> Database:
        """Return the database, created or migrated to today's schema."""
        database = Database(self.connect, self._lock_timeout, durable=self.durable)
        migrate.apply(database, self._begin)
        return database

    def refuse_hidden_tables(self) -> None:
        """Refuse tables that seem empty, since row-level security was switched on.

        Raises:
            StoreError: it hides them from the role, or the server cannot be asked.
        """
        if self.database.dialect == POSTGRES:
            from gigq.store.postgres.obstacles import refuse_hidden_tables

            with self.database.read() as session:
                refuse_hidden_tables(session)

    def is_cancel_requested(self, execution_id: str) -> bool:
        """Return True when the cancel of a running job was requested; wait for no lock.

        Raises:
            StoreError: the database cannot be read now.
        """
        return settle_and_claim.is_cancel_requested(self._without_waiting, execution_id)

    def is_in_transaction(self) -> bool:
        """Return True inside a transaction on this thread's connection."""
        connection = self._held()
        return connection is not None and is_in_transaction(connection)

    def touch_check(self) -> Callable[[], bool]:
        """Return a function that is True when a job may have left this thread's connection changed.

        It has left a transaction open, or has used a connection to a server.

        The function follows no later connection of the thread.
        """
        connection = self._held()
        return bool if connection is None else touch_check(connection)

    def restore(self) -> None:
        """Undo what a job has set on this thread's connection for the session."""
        connection = self._held()
        if connection is not None:
            restore(connection)

    def roll_back(self) -> None:
        """Undo the transaction on this thread's connection."""
        roll_back(self._held())

    @cached_property
    def _without_waiting(self) -> Database:
        return Database(self.connect, lock_timeout=0.0)


class _Threads(threading.local):
    """The connection of each thread, deleted with the thread."""

    held: _SharedConnection | None = None


class _SharedConnection(MemoryConnection):
    path = MEMORY


def _opened(address: str) -> _SharedConnection:
    try:
        connection = sqlite3.connect(
            address,
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            factory=_SharedConnection,
        )
    except sqlite3.Error as error:
        raise UnsupportedStore(
            f"this SQLite has no databases in memory that threads can share ({error}); use a file"
        ) from error
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection
