"""A relay for TCP that delays, stalls and half cuts: `python -m torture.hosts.relay HOST`.

Each line of its standard input is an object with the changes of one port; an unknown port is
opened, and leads to its `target`: an address with a port, or the path of a socket.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_SIZE = 65536
_WAYS = ("out", "in")
_KEEPALIVE = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 4,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 4,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 10,
}
"""Finds clients that have died while their host was cut off, as a server would."""


@dataclass(eq=False)
class Port:
    """What happens to all connections of a port.

    Attributes:
        target: where they lead to.
        delay: seconds that each piece of data takes.
        flows: for each way whether data may pass now; ends of connections pass no sooner.
        connections: those that are open.
    """

    target: str
    delay: float = 0.0
    flows: dict[str, asyncio.Event] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)

    def change(self, delay: float, stalled: list[str], held: str | None) -> None:
        """Change it.

        Args:
            delay: see above.
            stalled: the ways on which nothing passes: out, to the server, and in, to the client.
            held: of each connection that is open now, the end that stays open, without data, while
                the other one is closed: client or server. None closes those that were held.
        """
        self.delay = delay
        for way in _WAYS:
            flow = self.flows.setdefault(way, asyncio.Event())
            flow.clear() if way in stalled else flow.set()
        for connection in list(self.connections):
            connection.hold(held)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on until it ends."""
        try:
            onward = await _connect(self.target)
        except OSError:
            writer.transport.abort()
            return
        for (level, option), value in _KEEPALIVE.items():
            writer.get_extra_info("socket").setsockopt(level, option, value)
        connection = Connection(self, {"client": writer, "server": onward[1]})
        self.connections.add(connection)
        ways = [
            connection.pump(reader, "server", "out"),
            connection.pump(onward[0], "client", "in"),
        ]
        await asyncio.gather(*ways)
        if connection.held:
            await connection.released.wait()
        self.connections.discard(connection)
        connection.abort(*connection.ends)


@dataclass(eq=False)
class Connection:
    """A connection of a client and the one to the server that belongs to it."""

    port: Port
    ends: dict[str, asyncio.StreamWriter]
    held: str | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self, end: str | None) -> None:
        """Leave one end open and close the other one, or close what was held."""
        if end and not self.held:
            self.held = end
            self.abort(*(set(self.ends) - {end}))
        elif not end and self.held:
            self.abort(self.held)
            self.released.set()

    def abort(self, *ends: str) -> None:
        """Close ends, and drop what is not sent yet."""
        for end in ends:
            self.ends[end].transport.abort()

    async def pump(self, reader: asyncio.StreamReader, to: str, way: str) -> None:
        """Pass on what comes from one end, and its close."""
        writer = self.ends[to]
        with suppress(OSError):
            while data := await reader.read(_SIZE):
                await asyncio.sleep(self.port.delay)
                await self.port.flows[way].wait()
                if not self.held:
                    writer.write(data)
                    await writer.drain()
        await self.port.flows[way].wait()
        if not self.held:
            writer.close()


async def _connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def _relay(host: str) -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    ports: dict[int, Port] = {}
    servers = []
    while line := await orders.readline():
        order: dict[str, Any] = json.loads(line)
        number, target = order.pop("port"), order.pop("target")
        if number not in ports:
            ports[number] = Port(target)
            servers.append(await asyncio.start_server(ports[number].accept, host, number))
        ports[number].change(**order)


if __name__ == "__main__":
    asyncio.run(_relay(*sys.argv[1:]))
