"""A relay between clients and a PostgreSQL server on a socket, which cuts or holds connections."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_QUERY, _PARSE, _BIND = b"Q", b"P", b"B"
_BACKEND_KEY, _READY = b"K", b"Z"


class Relay:
    """Passes the messages of the protocol on, both ways, until a statement that it is to cut at.

    Args:
        folder: the folder of its socket.
        server: the socket of the server; the relay's has the same name.

    Attributes:
        folder: the folder of its socket, for the `host` of an address.
        is_silent: True to keep the answers of the server from the clients.
        hides_process: True to give clients another process number than the server's, as poolers do.
        keeps_open: True to leave a client's connection open when the server has ended its own.
        cuts: the number of connections that it has cut at a statement.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.is_silent = False
        self.hides_process = False
        self.keeps_open = False
        self.cuts = 0
        self._server = str(server)
        self._pattern: re.Pattern[bytes] | None = None
        self._skip = 0
        self._forwards = False
        self._links: list[_Link] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / server.name))
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def cut_at(self, statement: str, *, forwards: bool, skip: int = 0) -> None:
        """Cut the connection on which a statement comes next, once.

        Args:
            statement: a regular expression for its beginning.
            forwards: True when the server is to run it, while the answer is lost.
            skip: the number of such statements to pass on before.
        """
        self._skip, self._forwards = skip, forwards
        self._pattern = re.compile(rb"\s*(?:" + statement.encode() + rb")", re.IGNORECASE)

    def cut(self) -> None:
        """Cut all connections; new ones are passed on."""
        for link in self._links:
            link.cut()

    def close(self) -> None:
        """Cut all connections and take no more."""
        # Without the shutdown its thread would go on waiting for a connection.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._server)
                except OSError:
                    client.close()
                    server.close()
                    continue
                self._links.append(_Link(client, server, self._to_server, self._to_client))

    def _to_server(self, link: _Link) -> None:
        prepared: dict[bytes, bytes] = {}
        with _closing(link):
            (size,) = struct.unpack("!I", _exactly(link.client, 4))
            link.server.sendall(struct.pack("!I", size) + _exactly(link.client, size - 4))
            while True:
                kind, body = _message(link.client)
                if self._is_to_cut(_statement(kind, body, prepared)):
                    self.cuts += 1
                    if not self._forwards:
                        return
                    link.is_to_be_cut = True
                link.server.sendall(_bytes(kind, body))

    def _to_client(self, link: _Link) -> None:
        with _closing(link):
            while True:
                try:
                    kind, body = _message(link.server)
                except EOFError:
                    if self.keeps_open:
                        link.ended.wait()
                    raise
                if link.is_to_be_cut:
                    if kind == _READY:
                        return  # the server has run the statement
                    continue
                if kind == _BACKEND_KEY and self.hides_process:
                    body = b"\0\0\0\1" + body[4:]
                if not self.is_silent:
                    link.client.sendall(_bytes(kind, body))

    def _is_to_cut(self, statement: bytes) -> bool:
        if self._pattern is None or not self._pattern.match(statement):
            return False
        self._skip -= 1
        if self._skip >= 0:
            return False
        self._pattern = None
        return True


class _Link:
    """A connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self, client: socket.socket, server: socket.socket, *pumps: Callable[[_Link], None]
    ) -> None:
        self.client = client
        self.server = server
        self.is_to_be_cut = False
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=pump, args=(self,)) for pump in pumps]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """End both connections."""
        self.ended.set()
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End both connections, and the threads on them."""
        self.cut()
        for thread in self._threads:
            thread.join()
        self.client.close()
        self.server.close()


@contextmanager
def relaying_to(address: str) -> Iterator[Relay]:
    """A relay to the server of an address; the test is skipped where it has no socket."""
    options = parse_qs(urlsplit(address).query)
    if not options["host"][0].startswith("/"):
        pytest.skip("the server of this run has no socket")
    (port,) = options.get("port", ["5432"])
    folder = Path(tempfile.mkdtemp(prefix="gigq-relay-"))  # a socket's path must be short
    relay = Relay(folder, Path(options["host"][0], f".s.PGSQL.{port}"))
    try:
        yield relay
    finally:
        relay.close()
        shutil.rmtree(folder)


def through(relay: Relay, address: str) -> str:
    """The address that leads to the server of an address through a relay."""
    folder = parse_qs(urlsplit(address).query)["host"][0]
    return address.replace(f"host={folder}", f"host={relay.folder}")


def _statement(kind: bytes, body: bytes, prepared: dict[bytes, bytes]) -> bytes:
    """The text of the statement that a message starts; empty for other messages."""
    if kind == _QUERY:
        return body
    if kind == _PARSE:
        name, text, _ = body.split(b"\0", 2)
        prepared[name] = text
    if kind == _BIND:
        return prepared.get(body.split(b"\0", 2)[1], b"")
    return b""


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    return head[:1], _exactly(source, struct.unpack("!I", head[1:])[0] - 4)


def _bytes(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = source.recv(size - len(found))
        if not more:
            raise EOFError
        found += more
    return found


@contextmanager
def _closing(link: _Link) -> Iterator[None]:
    """End both connections when one of them ends."""
    with suppress(OSError, EOFError):
        yield
    link.cut()
