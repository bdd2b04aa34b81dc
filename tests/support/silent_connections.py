"""Processes that hold silent connections to a socket, run as a module with PATH COUNT."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from support.calls import noted

from gigqd.ipc.control_socket import existing

Connections = list[socket.socket]


def connect(path: str, count: int) -> Connections:
    """Open connections that never say anything; as many as are taken."""
    opened = []
    with existing(Path(path)) as name:
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(1)
            with suppress(BlockingIOError, TimeoutError):
                client.connect(name)
                opened.append(client)
    return opened


def hold(ledger: str, job: str, path: str, processes: int, connections: int) -> None:
    """Be a job whose processes hold connections until it is ended."""
    with noted(ledger, job):
        kept = [] if processes > 1 else connect(path, connections)
        for _ in range(processes if processes > 1 else 0):
            reader, writer = os.pipe()
            if os.fork() == 0:
                kept = connect(path, connections)
                os.write(writer, b"!")
                signal.pause()
            os.read(reader, 1)
        Path(f"{ledger}.{job}").touch()
        signal.pause()
        del kept


if __name__ == "__main__":
    held = connect(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.read()
