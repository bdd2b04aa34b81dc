"""JSON messages, one per line, over a non-blocking stream socket."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

_CHUNK = 16384
_LINE_COST = 1024  # reading a line costs as much as so many bytes of one
LONGEST_LINE = 4 * 1024 * 1024


class JsonSocket:
    """One end of a connection. Messages that cannot be sent at once are queued in memory.

    Attributes:
        ended: the other side has closed the connection, or has sent a line that is too long.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor to wait on; -1 once closed."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Return True while messages are queued."""
        return bool(self._outgoing) and not self.ended

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message and send as much as possible without waiting."""
        self._outgoing += json.dumps(message, default=str).encode() + b"\n"
        self.flush()

    def notify(self) -> None:
        """Wake the other side without a message."""
        with contextlib.suppress(OSError):  # a full buffer has woken it already
            self._socket.send(b"\n")

    def flush(self) -> None:
        """Send queued messages, as far as possible without waiting."""
        while self._outgoing and not self.ended:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self.ended = True
                return
            del self._outgoing[:sent]

    def receive(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived; sets `ended` at the end of the connection.

        One call reads about `LONGEST_LINE` bytes at most, and much less when they are many short
        lines; the next call reads the rest.
        """
        taken = 0
        while not self.ended and taken < LONGEST_LINE:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self._incoming += data
            taken += len(data) + _LINE_COST * data.count(b"\n")
            self.ended = not data
        messages = self._take_lines()
        self.ended = self.ended or len(self._incoming) > LONGEST_LINE
        return messages

    def _take_lines(self) -> list[dict[str, Any]]:
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray(rest)
        return [message for line in lines if line and (message := _parse(line))]

    def close(self) -> None:
        """Close this end."""
        self.ended = True
        self._socket.close()


def pair() -> tuple[JsonSocket, socket.socket]:
    """Return the two ends of a connection: ours as a JsonSocket, the child's as a socket."""
    ours, theirs = socket.socketpair()
    return JsonSocket(ours), theirs


def _parse(line: bytearray) -> dict[str, Any] | None:
    """Return the message in a line; None for a line without one, which is ignored."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
