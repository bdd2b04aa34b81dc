"""Clients of the control socket, with limits on their number and their silence.

A job runs as the daemon's account, so it may connect too. All processes below the daemon share a
few connections, so that they never take those of an operator. When all connections are in use, the
one that has been silent for longest is closed for a new one.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from gigq.model.url_passwords import mask_passwords
from gigqd.ipc.json_socket import JsonSocket
from gigqd.linux import syscalls

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

SILENT_FOR = 5.0
"""Seconds without a request or a pending answer after which a connection is closed."""

_MOST = 64
_MOST_OF_A_PEER = 8
_JOBS = -1
_DEEPEST = 1000


class Client:
    """A connection from which a request has come, or may come.

    Args:
        sock: the connection.
        peer: the process at its other end; one number stands for all processes of jobs.
    """

    def __init__(self, sock: socket.socket, peer: int = 0) -> None:
        self.json_socket = JsonSocket(sock)
        self.peer = peer
        self._waits = False
        self._since = time.monotonic()

    @property
    def silent_since(self) -> float | None:
        """Start of its silence, on the monotonic clock; None while it waits for an answer."""
        return None if self._waits else self._since

    def has_closed(self) -> bool:
        """Return True when the other side has closed the connection, not only its sending half."""
        return syscalls.is_hung_up(self.json_socket.fileno())

    def await_answer(self) -> None:
        """Note that a request has come, whose answer may take long."""
        self._waits = True

    def answer(self, message: dict[str, Any]) -> None:
        """Send the answer, without the passwords in URLs that an error text may hold."""
        self._waits = False
        self._since = time.monotonic()
        self.json_socket.send(mask_passwords(message))


class Clients:
    """The open connections, and the rules for another one."""

    def __init__(self) -> None:
        self._open: set[Client] = set()

    def __iter__(self) -> Iterator[Client]:
        return iter(tuple(self._open))

    def admit(self, sock: socket.socket, pid: int) -> tuple[Client | None, Client | None]:
        """Decide on a new connection.

        Args:
            sock: the connection.
            pid: the process at its other end; 0 when it cannot be seen from here.

        Returns:
            The client, or None when its peer has too many; and the one to close for it, if any.
        """
        peer = _JOBS if _is_below_this_process(pid) else pid
        if sum(client.peer == peer for client in self._open) >= _MOST_OF_A_PEER:
            return None, None
        leaving = self._longest_silent() if len(self._open) >= _MOST else None
        if len(self._open) >= _MOST and leaving is None:
            return None, None
        client = Client(sock, peer)
        self._open.add(client)
        return client, leaving

    def discard(self, client: Client) -> None:
        """Forget a connection that is closed."""
        self._open.discard(client)

    def silent_for_too_long(self) -> list[Client]:
        """Return the connections to close now."""
        before = time.monotonic() - SILENT_FOR
        return [each for each in self._open if (each.silent_since or before + 1) <= before]

    def _longest_silent(self) -> Client | None:
        silent = [each for each in self._open if each.silent_since is not None]
        return min(silent, key=lambda each: each.silent_since or 0.0, default=None)


def _is_below_this_process(pid: int) -> bool:
    """Return True when a process descends from the daemon. One that has ended counts as a job's.

    /proc may hide the processes of other accounts, as under the unit. These do not descend from
    the daemon.
    """
    try:
        for _ in range(_DEEPEST):
            if pid == os.getpid():
                return True
            if pid in (0, 1):
                return False
            pid = syscalls.read_process(pid).parent
    except ProcessLookupError:
        return not _belongs_to_another_account(pid)
    return True


def _belongs_to_another_account(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return False
