"""Access to a queue in a PostgreSQL database."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreError, StoreUnavailable
from gigq.model.cached_property import cached_property
from gigq.store.listeners import NoWakeups, NoWatch
from gigq.store.postgres import connections
from gigq.store.postgres.address import parse
from gigq.store.postgres.ended_leases import EndedLeases
from gigq.store.postgres.notifications import Listener, Notifier, QueueWatch
from gigq.store.postgres.place import made_place_of, place_of_workers, store_of
from gigq.store.sqlite.processes import run_locks, wakeup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gigq.store.database import Database
    from gigq.store.listeners import WakeupListener

_POLL_INTERVAL = 1.0


class PostgresBackend:
    """A PostgreSQL database, with this process's connections, notifications and run locks.

    Attributes:
        path: the address of the database.
    """

    def __init__(self, address: str, role: str = connections.QUEUE) -> None:
        """Name a database; no connection is opened yet.

        Args:
            address: the address of the database.
            role: the name under which the server lists the connections.
        """
        self.path = address
        self._role = role
        self._notifier = Notifier()

    @property
    def lease(self) -> float | None:
        """The length of a process's lease in seconds; 0 where none can be renewed."""
        return parse(self.path).lease

    @cached_property
    def _ended_leases(self) -> EndedLeases:
        return EndedLeases(self.lease or 0.0)

    @cached_property
    def _place(self) -> str:
        """Return the path beside which this host's processes keep their run locks."""
        return made_place_of(self.connection())

    def connection(self, *, may_create: bool = True) -> Any:  # noqa: ARG002 - as for a file
        """Return this thread's connection."""
        return connections.open_connection(self.path, self._role)

    def held(self) -> Any:
        """Return this thread's connection as it is, or None."""
        return connections.held_connection(self.path)

    def another_connection(self) -> Any:
        """Return a connection of the caller's own, also in a signal handler."""
        return connections.new_connection(self.path)

    def close(self) -> None:
        """Close this thread's connections."""
        connections.close_connections(self.path)

    def run(self) -> str:
        """Return the run of this process, whose lock shows other processes that it lives."""
        return run_locks.run_of_this_process(self._place)

    def is_alive(self, run: str) -> bool:
        """Return True while the process that holds `run` lives, or may live on another host."""
        place = self._place_of(run)
        return place is None or run_locks.is_alive(place, run)

    def sees(self, run: str) -> bool:
        """Return True for a run of this host, whose end the kernel shows.

        It is of this boot, of this process namespace, and of a lock file that this process has
        open. For all others, also containers on the same node, only the lease counts.
        """
        return self._place_of(run) is not None

    def ended_leases(self, db: Database, runs: Iterable[str]) -> frozenset[str]:
        """Return those of these runs that this process does not see and whose lease has ended."""
        return self._ended_leases.of(db, (run for run in runs if not self.sees(run)))

    def _place_of(self, run: str) -> str | None:
        """Return the path beside which a run of this host has its lock; None for other runs."""
        if not run_locks.is_of_this_host(run):
            return None
        word = run_locks.lock_file_of(run)
        places = (place for place in self._places() if run_locks.has_lock_file(place))
        return next((one for one in places if run_locks.id_of_lock_file(one) == word), None)

    def _places(self) -> tuple[str, ...]:
        """Return the paths beside which processes of this host and account keep run locks."""
        return (self._place,)

    def notify(self, due: Mapping[str, int]) -> None:
        """Wake idle workers for jobs that became due."""
        if due and connections.has_notifications(self.path):
            with suppress(StoreError):  # polling goes on
                self._notifier.notify(self.connection, due)

    def notify_alike(self, queues: Iterable[str] | None) -> None:
        """Do nothing: a notification wakes all workers that serve the queue."""

    def listener(self, queues: Iterable[str] | None) -> WakeupListener:
        """Return the object that waits for notifications."""
        address = connections.listening_address(self.path)
        if address is None:
            return NoWakeups()
        return Listener(lambda: connections.open_connection(address, self._role), queues)

    def queue_watch(self) -> QueueWatch:
        """Return the watch that reports the queues of all notifications to one process."""
        # Behind a pooler without a direct address it reports the pooler as its problem.
        address = connections.listening_address(self.path) or self.path
        return QueueWatch(lambda: self._listening_connection(address))

    def _listening_connection(self, address: str) -> Any:
        if not connections.has_notifications(self.path):
            raise StoreUnavailable("the address of the database says notify=off: workers poll only")
        return connections.new_connection(address, self._role)

    def watch(self) -> NoWatch:
        """Return a watch that reports no writes."""
        return NoWatch(_POLL_INTERVAL)


class DaemonBackend(PostgresBackend):
    """A PostgreSQL database as the processes of one daemon use it.

    They wake each other through pipes on this host, and the daemon's recorder listens for the
    notifications of other processes.

    Args:
        address: the address of the database.
        place: the path beside which the daemon keeps its run locks and pipes.
    """

    def __init__(self, address: str, place: str) -> None:
        super().__init__(address, connections.DAEMON)
        self._place = place

    def _places(self) -> tuple[str, ...]:
        """Return the daemon's own path and that of the plain workers of its account."""
        return (self._place, self._place_of_workers)

    @cached_property
    def _place_of_workers(self) -> str:
        return place_of_workers(store_of(self.connection()))

    def notify(self, due: Mapping[str, int]) -> None:
        """Wake idle workers for jobs that became due, first those of this daemon."""
        wakeup.notify(self._place, due)
        super().notify(due)

    def notify_alike(self, queues: Iterable[str] | None) -> None:
        """Wake one more of the daemon's workers that serve the same queues."""
        wakeup.notify_alike(self._place, queues)

    def listener(self, queues: Iterable[str] | None) -> WakeupListener:
        """Return the object that waits for wakeups of this daemon's processes."""
        return wakeup.Listener(self._place, queues)


class BackendOfConnections(PostgresBackend):
    """The PostgreSQL database of a queue whose class has its own connections.

    Each call may open another connection, so no worker listens on one: they poll.

    Args:
        address: the address, if the queue has one.
        connect: returns a connection.
    """

    def __init__(self, address: str | None, connect: Callable[[], Any]) -> None:
        super().__init__(address or "")
        self._connect = connect

    lease = 0.0

    def connection(self, *, may_create: bool = True) -> Any:  # noqa: ARG002 - as the queue does
        """Return a connection of the queue's class."""
        return self._connect()

    held = connection

    def close(self) -> None:
        """Do nothing: the queue's class decides when its connections are closed."""

    def notify(self, due: Mapping[str, int]) -> None:
        """Do nothing: workers poll."""

    def listener(self, queues: Iterable[str] | None) -> WakeupListener:  # noqa: ARG002 - as the base
        """Return an object that waits without wakeups."""
        return NoWakeups()
