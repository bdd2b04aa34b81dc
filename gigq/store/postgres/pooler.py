"""Detection of a connection pooler, such as PgBouncer, between this process and the server."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from gigq.descriptors import wait_readable
from gigq.errors import StoreUnavailable
from gigq.store.dialect import POSTGRES
from gigq.store.postgres.connections import new_connection
from gigq.store.statements import read_only_statements

TRANSACTION, SESSION = "transaction", "session"

_PID, _PID_IN_TRANSACTION = "backend", "backend_of_transaction"
_OTHERS = 3
_SECONDS = 1.0


def pooler_of(connection: Any, address: str) -> str | None:
    """Return the mode of the pooler that a connection goes through.

    A pooler answers a login with a process id of its own. In transaction mode a server process
    that served this connection serves another one a moment later, or this one changes over to
    another process. In session mode neither happens.

    Args:
        connection: an idle connection.
        address: its address, for more connections.

    Returns:
        TRANSACTION, SESSION, or None without a pooler. A pooler that gives this connection the
        same process each time, and to no other connection, counts as in session mode.
    """
    first = _pid(connection, _PID)
    if first is None or first == connection.info.backend_pid:
        return None
    # A server that takes no more connections has shown nothing.
    with contextlib.suppress(StoreUnavailable), contextlib.ExitStack() as others:
        for _ in range(_OTHERS):
            other = others.enter_context(contextlib.closing(new_connection(address)))
            found = _pid(other, _PID_IN_TRANSACTION)
            if found == first:
                return TRANSACTION
            if found is None:
                break
        if _pid(connection, _PID) not in {first, None}:
            return TRANSACTION
    return SESSION


def is_direct(connection: Any) -> bool:
    """Return True when no pooler is between this process and the server for certain."""
    return bool(_pid(connection, _PID) == connection.info.backend_pid)


def _pid(connection: Any, name: str) -> int | None:
    """Return the server process that answers; None when the pooler has none free in the time."""
    pgconn = connection.pgconn
    pgconn.send_query(read_only_statements(POSTGRES)[name].encode())
    deadline = time.monotonic() + _SECONDS
    while pgconn.is_busy():
        left = deadline - time.monotonic()
        if left <= 0 or not wait_readable([pgconn.socket], left):
            return None
        pgconn.consume_input()
    found = None
    while (result := pgconn.get_result()) is not None:
        found = result.get_value(0, 0) if result.ntuples else found
    return None if found is None else int(found)
