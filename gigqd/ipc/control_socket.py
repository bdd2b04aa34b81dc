"""The control socket: a request and its answer are one JSON line each."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import stat
import struct
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from gigq.store.sqlite.file.private_files import is_known
from gigqd import exit_codes, logs
from gigqd.errors import GigqdError, is_out_of_files, unexpected
from gigqd.ipc.control_clients import Client, Clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Command = Callable[["Client", dict[str, Any]], None]

log = logs.get_logger(__name__)

_CREDENTIALS = struct.Struct("3i")
_BACKLOG = 128
_MOST_REQUESTS = 16  # of one connection, at once
_MOST_ACCEPTED = 32  # at once, so that a turn of the loop is bounded


class ControlServer:
    """Listens on the control socket, checks the peer, and calls the commands.

    Args:
        path: the socket's path; an earlier daemon's socket there is replaced.
        selector: the selector in which the socket and its clients are registered.
        commands: the function for each command; it gets the client and the request.

    Raises:
        GigqdError: the socket cannot be made.
    """

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, commands: Mapping[str, Command]
    ) -> None:
        self._selector = selector
        self._commands = commands
        self._clients = Clients()
        self._path = path
        try:
            self._listen()
        except OSError as error:
            text = f"cannot create control socket {path}: {error.strerror}"
            raise GigqdError(text, exit_code=exit_codes.CANNOT_CREATE) from error

    def repair(self) -> tuple[str, ...]:
        """Listen again when the socket was deleted or replaced; return its name then.

        Raises:
            OSError: the socket cannot be made.
        """
        if self._is_ours():
            return ()
        old = self._socket
        self._listen()
        self._selector.unregister(old)
        old.close()
        return (self._path.name,)

    def flush(self) -> bool:
        """Send queued answers, and close connections that have been silent for too long.

        Returns:
            True when some answers are still queued.
        """
        for client in self._clients.silent_for_too_long():
            self._drop(client)
        for client in self._clients:
            client.json_socket.flush()
        return any(client.json_socket.has_unsent for client in self._clients)

    def close(self) -> None:
        """Stop listening and remove the socket, if it is still ours."""
        for client in self._clients:
            self._drop(client)
        self._selector.unregister(self._socket)
        self._socket.close()
        if self._is_ours():
            self._path.unlink()

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._bind(listener)
        except OSError:
            listener.close()
            raise
        self._socket = listener
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def _bind(self, listener: socket.socket) -> None:
        self._path.unlink(missing_ok=True)
        with address(self._path) as name:
            listener.bind(name)
        self._path.chmod(0o600)
        listener.listen(_BACKLOG)
        self._identity = self._path.lstat()

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), self._identity)
        except FileNotFoundError:
            return False

    def _accept(self) -> None:
        for _ in range(_MOST_ACCEPTED):
            try:
                connection, _ = self._socket.accept()
            except OSError as error:  # none left, or gone again
                if is_out_of_files(error):
                    raise
                return
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        pid, uid = peer_of(connection)
        client = leaving = None
        if _may_command(uid):
            client, leaving = self._clients.admit(connection, pid)
        if leaving is not None:
            self._drop(leaving)
        if client is None:
            connection.close()
            return
        self._selector.register(
            client.json_socket, selectors.EVENT_READ, partial(self._receive, client)
        )

    def _receive(self, client: Client) -> None:
        if client not in self._clients:  # closed for another client in this iteration
            return
        unread = client.json_socket.has_unsent
        requests = client.json_socket.receive()
        if len(requests) > _MOST_REQUESTS or (requests and unread):
            self._drop(client)  # a command asks once and reads the answer
            return
        for request in requests:
            # A command that gave up waiting has reported that the request will not be served.
            if client.has_closed():
                log.warning("control_dropped", command=str(request.get("command")))
            else:
                self._execute(client, request)
        if client.json_socket.ended:
            self._drop(client)

    def _execute(self, client: Client, request: dict[str, Any]) -> None:
        command = self._commands.get(str(request.get("command")))
        if command is None:
            error = f"unknown command {request.get('command')!r}"
            client.answer({"ok": False, "error": error, "code": exit_codes.USAGE})
            return
        client.await_answer()
        try:
            command(client, request)
        except OSError as error:
            unexpected_error = unexpected(error)
            code = unexpected_error.exit_code
            client.answer({"ok": False, "error": str(unexpected_error), "code": code})
            raise

    def _drop(self, client: Client) -> None:
        self._clients.discard(client)
        self._selector.unregister(client.json_socket)
        client.json_socket.close()


def _may_command(uid: int) -> bool:
    """Return True for the daemon's own user and root, which may give commands."""
    if uid in (0, os.geteuid()) and is_known(uid):
        return True
    log.warning("control_refused", uid=uid)
    return False


@contextmanager
def address(path: Path) -> Iterator[str]:
    """Yield a name for a socket that fits the kernel's 108 bytes, however long its path is."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


@contextmanager
def existing(path: Path) -> Iterator[str]:
    """Yield a short name for the socket that is at a path now; no link is followed.

    Raises:
        OSError: there is none, or it is something else.
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise OSError(errno.ENOTSOCK, "the file at its control socket's path is not a socket")
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return the process id (or 0) and the user id of the other end, from the kernel."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return pid, uid
