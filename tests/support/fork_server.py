"""Run `gigq`, `gigqd` and short programs in copies of an interpreter that has imported them.

A fresh interpreter spends ten times as long on imports as on a short command. A forked copy has
its own process, folder, environment, arguments and standard streams. It ends as Python does, with
the threads joined and the functions of `atexit` called, but takes no modules apart. Its command
line in /proc and what an interpreter reads when it starts are the server's. A test of those starts
a process of its own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from support import fork_server_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FORKS_WITHIN = _REPORTED_WITHIN = 30.0
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")

# gigqd executes itself again when its environment block is small. A forked copy would execute the
# server's command line instead of its own, so the server starts with a large block.
_LARGE_BLOCK = {"FORK_SERVER_FILLER": "-" * 4096}

_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("GIGQ", "PYTHON"))
}
"""The environment of the servers, without what one test may change for itself."""

_servers: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}


def serves(environment: Mapping[str, str]) -> bool:
    """Return whether a forked copy behaves in an environment as a fresh interpreter does."""
    names = {name for name in {*_ENVIRONMENT, *environment} if name.startswith(_READ_AT_START)}
    names.discard("PYTHON")  # the Makefile's own
    return all(_ENVIRONMENT.get(name) == environment.get(name) for name in names)


def run(
    program: str,
    arguments: Sequence[str],
    *,
    folder: Path | str,
    environment: Mapping[str, str],
    stdin: IO[Any] | None = None,
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, like `subprocess.run` with captured output.

    Args:
        program: `gigq`, `gigqd`, or `-c` for a program that imports parts of gigqd.
        arguments: what follows on the command line; the text of the program first, behind `-c`.
        folder: the working directory.
        environment: all variables; see `serves`.
        stdin: an open file; empty input without one.
        timeout: after so many seconds the process is killed.

    Raises:
        subprocess.TimeoutExpired: it was killed.
    """
    out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
    given = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin.fileno())
    try:
        answer = _ask(program, arguments, folder, environment, [given, out, err])
        try:
            code = _wait(answer, [program, *arguments], timeout)
        finally:
            os.close(answer)
        texts = [os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in (out, err)]
    finally:
        for fd in (given, out, err):
            os.close(fd)
    texts = [text.replace("\r\n", "\n") for text in texts]
    return subprocess.CompletedProcess([program, *arguments], code, *texts)


def start(
    program: str,
    arguments: Sequence[str],
    *,
    folder: Path | str,
    environment: Mapping[str, str],
    log: Path,
) -> ForkedProcess:
    """Start a command that goes on, in a process group of its own and with empty input.

    Args:
        program: `daemon` or `daemon on postgres`, which are `gigqd` with other modules imported,
            or one of those of `run`.
        arguments: what follows on the command line.
        folder: the working directory.
        environment: all variables; see `serves`.
        log: the new file for its output and its errors.
    """
    with log.open("wb") as output, open(os.devnull, "rb") as nothing:  # noqa: PTH123
        streams = [nothing.fileno(), output.fileno(), output.fileno()]
        answer = _ask(program, arguments, folder, environment, streams, own_group=True)
    return ForkedProcess(answer)


class ForkedProcess:
    """A command that goes on; like `subprocess.Popen` as far as the tests of daemons need it.

    Args:
        answer: the pipe through which its number comes, and its exit code when it has ended.
    """

    def __init__(self, answer: int) -> None:
        self._answer: int | None = answer
        self._code: int | None = None
        pid = _number(answer, time.monotonic() + _FORKS_WITHIN)
        assert pid is not None, "the fork server did not start the process"
        self.pid = pid
        self._descriptor: int | None = None
        with suppress(ProcessLookupError):  # it has ended, and another process may get its number
            self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._look(_REPORTED_WITHIN if self._has_ended() else 0.0)

    def wait(self, timeout: float = _REPORTED_WITHIN) -> int:
        """Wait until it has ended; its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it has not ended after so many seconds.
        """
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None and self._descriptor is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def _has_ended(self) -> bool:
        """Whether it has ended; its exit code comes a moment later."""
        return self._descriptor is None or bool(select.select([self._descriptor], [], [], 0)[0])

    def _look(self, seconds: float) -> int | None:
        if self._answer is not None:
            self._code = _number(self._answer, time.monotonic() + seconds)
            if self._code is not None:
                for descriptor in filter(None, (self._answer, self._descriptor)):
                    os.close(descriptor)
                self._answer = self._descriptor = None
        return self._code


def close() -> None:
    """End the servers of this process."""
    for process, connection in _servers.values():
        connection.close()
        process.wait()
    _servers.clear()


def _server(program: str) -> socket.socket:
    if program not in _servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, fork_server_program.__file__, program, str(theirs.fileno())]
            process = subprocess.Popen(
                command,
                env={**_ENVIRONMENT, **_LARGE_BLOCK},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        _servers[program] = (process, ours)
    return _servers[program][1]


def _ask(
    program: str,
    arguments: Sequence[str],
    folder: Path | str,
    environment: Mapping[str, str],
    streams: list[int],
    *,
    own_group: bool = False,
) -> int:
    """Ask for a copy; return the pipe through which its number and its exit code come."""
    request = {
        "arguments": list(arguments),
        "folder": str(folder),
        "env": dict(environment),
        "own_group": own_group,
    }
    answer, reply = os.pipe()
    try:
        socket.send_fds(_server(program), [json.dumps(request).encode()], [*streams, reply])
    finally:
        os.close(reply)
    return answer


def _wait(answer: int, command: list[str], timeout: float) -> int:
    end = time.monotonic() + timeout
    pid = _number(answer, end)
    code = None if pid is None else _number(answer, end)
    if code is not None:
        return code
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    raise subprocess.TimeoutExpired(command, timeout)


def _number(answer: int, end: float) -> int | None:
    if not select.select([answer], [], [], max(0.0, end - time.monotonic()))[0]:
        return None
    found = os.read(answer, 8)
    assert found, "the fork server is gone"
    return int.from_bytes(found, "little", signed=True)
