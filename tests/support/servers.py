"""A real web server for a test: started on a free port, asked over HTTP, ended with its tree."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from support.configs import clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LISTENS = re.compile(r"(?:Listening at|running on):? http://127\.0\.0\.1:(\d+)")


class Server:
    """A running web server.

    Attributes:
        port: where it listens on the loopback interface.
    """

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Make one request; the status, and what the JSON of the answer says."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, None

    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text()


@contextmanager
def serving(folder: Path, *command: str, **environment: str) -> Iterator[Server]:
    """Run a module of Python as a server in a folder until the block is left.

    Args:
        folder: the working directory.
        command: the module and its arguments; it must choose a free port and print it.
        environment: further variables.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**clean_environment(), "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Server(_port_of(process, log), log)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    def port() -> str | None:
        assert process.poll() is None, log.read_text()
        found = _LISTENS.search(log.read_text())
        # Some print where they are bound before they listen there.
        return found[1] if found and _accepts(int(found[1])) else None

    return int(wait_until(port, 60, why="the server listens"))


def _accepts(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
