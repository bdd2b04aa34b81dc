"""Connections of each thread to a PostgreSQL database."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from gigq.descriptors import wait_readable
from gigq.errors import UnsupportedStore
from gigq.model.database_address import without_password
from gigq.store.postgres.address import parse, refuse_unknown_options
from gigq.store.postgres.errors import is_from_driver, translated

if TYPE_CHECKING:
    from types import ModuleType

    from gigq.store.postgres.queue_connection import QueueConnection

QUEUE, WORKER, DAEMON = "gigq", "gigq worker", "gigq daemon"
"""The names under which the server lists connections: of a queue, a plain worker and a daemon."""

_OPTIONS = {"keepalives_count": "3", "client_encoding": "utf8"}
_ACTIVE = 1


def open_connection(address: str, role: str = QUEUE) -> QueueConnection:
    """Return this thread's connection; open one if there is none, or it was lost.

    Args:
        address: a connection URI of libpq, with gigq's own options. What it does not say comes from
            libpq's environment variables, service file and password file.
        role: the name under which the server lists a new connection.

    Raises:
        StoreUnavailable: the server cannot be reached or refuses the role.
        UnsupportedStore: psycopg is not installed, or the address has a mistake.
    """
    held = _threads.of(address)
    if held is not None and _is_open(held):
        return held
    connection = new_connection(address, role)
    _threads.keep(address, connection)
    return connection


def held_connection(address: str) -> QueueConnection | None:
    """Return this thread's connection as it is; None if there is none."""
    return _threads.of(address)


def close_connection(address: str) -> None:
    """Close this thread's connection, if it is open."""
    held = _threads.of(address)
    if held is not None:
        _threads.forget(address)
        held.close()


def listening_address(address: str) -> str | None:
    """Return the address at which notifications arrive.

    Returns:
        None behind a pooler without a direct address, and where notifications are switched off.
    """
    found = parse(address)
    if not found.notifies:
        return None
    return found.direct if found.is_pooled else address


def has_notifications(address: str) -> bool:
    """Return False for an address with `notify=off`."""
    return parse(address).notifies


def close_connections(address: str) -> None:
    """Close this thread's connections to an address and to its direct address."""
    close_connection(address)
    direct = parse(address).direct
    if direct is not None:
        close_connection(direct)


def _is_open(connection: QueueConnection) -> bool:
    """Return False for a connection that the server has closed, as when it was restarted.

    Without this look, which costs a microsecond, the next statement would fail. An exception that a
    signal raised may have left a statement under way, so that no other can begin.
    """
    if connection.pgconn.transaction_status == _ACTIVE:
        connection.close()
    try:
        # The input is a notification, or an error message and then the end, which may come later.
        while not connection.closed and wait_readable([connection.fileno()], 0):
            connection.pgconn.consume_input()
            connection.pgconn.is_busy()  # reads the message
            if connection.is_ended:
                connection.close()
    except Exception as error:
        if not is_from_driver(error):
            raise
        connection.close()
    return not connection.closed


def driver() -> ModuleType:
    """Return psycopg 3, which is loaded at the first use, with gigq's connections of it.

    Raises:
        UnsupportedStore: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise UnsupportedStore(
            "a PostgreSQL database needs psycopg 3: pip install 'gigqd[postgres]'"
        ) from error
    import_module("gigq.store.postgres.queue_connection")
    return psycopg


def new_connection(address: str, role: str = QUEUE) -> QueueConnection:
    """Open a connection that the caller closes.

    Raises:
        StoreUnavailable, UnsupportedStore: as for `open_connection`.
    """
    psycopg = driver()
    from gigq.store.postgres.queue_connection import QueueConnection

    found = parse(address)
    known = psycopg.pq.Conninfo.get_defaults()
    refuse_unknown_options(address, (option.keyword.decode() for option in known))
    try:
        given = psycopg.conninfo.conninfo_to_dict(found.server)
        settings = {"fallback_application_name": role, **_OPTIONS, **_waits(found.lease)}
        missing: dict[str, Any] = {
            name: value for name, value in settings.items() if name not in given
        }
        connection = QueueConnection.connect(found.server, autocommit=True, **missing)
        connection.follow(found)
    except (psycopg.ProgrammingError, UnicodeError) as error:
        # libpq repeats the address, with its password.
        said = str(error).strip().replace(found.server, without_password(found.server))
        raise UnsupportedStore(f"{without_password(address)} is no valid address: {said}") from None
    except psycopg.Error as error:
        # Nothing was asked of the server, so that the driver's error says no more.
        raise translated(error, without_password(address)) from None
    return connection


def _waits(lease: float) -> dict[str, str]:
    """Return the limits of waiting for a server, so that a lost connection costs no lease.

    Args:
        lease: the length of a lease, in seconds.
    """
    renewal = int(lease / 3)
    return {
        "connect_timeout": str(max(2, min(10, renewal))),  # libpq waits for 2 s at least
        "tcp_user_timeout": str(min(60, renewal) * 1000),
        "keepalives_idle": str(min(30, max(1, renewal // 2))),
        "keepalives_interval": str(min(10, max(1, renewal // 5))),
    }


class _Threads(threading.local):
    """The connections of each thread of this process; a child of `fork` has none."""

    def __init__(self) -> None:
        self._held = _Held()

    def of(self, address: str) -> QueueConnection | None:
        if self._held.is_inherited:
            self._held = _Held()
        return self._held.get(address)

    def keep(self, address: str, connection: QueueConnection) -> None:
        self._held[address] = connection

    def forget(self, address: str) -> None:
        del self._held[address]


class _Held(dict[str, "QueueConnection"]):
    """The connections of one thread, by address. They are closed when the thread has ended."""

    _inherited: ClassVar[list[QueueConnection]] = []  # module names are gone when a process ends

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_inherited(self) -> bool:
        """True in a child of the process that opened the connections."""
        return os.getpid() != self._pid

    def __del__(self) -> None:
        if self.is_inherited:
            # Their parent uses them, and closing one would end its session on the server.
            self._inherited.extend(self.values())
            return
        for connection in self.values():
            connection.close()


_threads = _Threads()
