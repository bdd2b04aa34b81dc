"""Run `gigq`, `gigqd` and short programs in copies of an interpreter that has imported them.

A fresh interpreter spends ten times as long on imports as on a short command. A forked copy has
its own process, folder, environment, arguments and standard streams. It ends as Python does, with
the threads joined and the functions of `atexit` called, but takes no modules apart. Its command
line in /proc and what an interpreter reads when it starts are the server's. A test of those starts
a process of its own.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import types
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PRELOADED = {
    "gigq": ("gigq", "gigq.cli", "gigq.store"),
    "gigqd": ("gigqd.cli",),
    "-c": ("gigqd.logs", "gigqd.worker"),
}
_ROOT = __file__.rsplit("/", 3)[0]
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")

# gigqd executes itself again when its environment block is small. A forked copy would execute the
# server's command line instead of its own, so the server starts with a large block.
_LARGE_BLOCK = {"FORK_SERVER_FILLER": "-" * 4096}

_servers: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}


# --- in a test -----------------------------------------------------------------------------------


def serves(environment: Mapping[str, str]) -> bool:
    """Return whether a forked copy behaves in an environment as a fresh interpreter does."""
    own = _environment()
    names = {name for name in {*own, *environment} if name.startswith(_READ_AT_START)}
    return all(own.get(name) == environment.get(name) for name in names)


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
    request = {"arguments": list(arguments), "folder": str(folder), "env": dict(environment)}
    out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
    answer, reply = os.pipe()
    given = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin.fileno())
    try:
        message = json.dumps(request).encode()
        socket.send_fds(_server(program), [message], [given, out, err, reply])
        os.close(reply)
        code = _wait(answer, [program, *arguments], timeout)
        texts = [os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in (out, err)]
    finally:
        for fd in (given, out, err, answer):
            os.close(fd)
    texts = [text.replace("\r\n", "\n") for text in texts]
    return subprocess.CompletedProcess([program, *arguments], code, *texts)


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
            command = [sys.executable, __file__, program, str(theirs.fileno())]
            process = subprocess.Popen(
                command,
                env={**_environment(), **_LARGE_BLOCK},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        _servers[program] = (process, ours)
    return _servers[program][1]


def _environment() -> dict[str, str]:
    return {name: v for name, v in os.environ.items() if not name.startswith(("GIGQ", "PYTHON"))}


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


# --- in the server -------------------------------------------------------------------------------


_code: list[int] = []
"""The exit code of the program, once it is known."""


def _main(program: str, number: str) -> None:
    atexit.register(_leave)  # the first to be registered is the last to be called
    sys.path[0] = _ROOT  # this copy of the project, whichever is installed
    for package in _PRELOADED[program]:
        _import_all(package)
    importlib.import_module("psycopg")  # commands load it late, which costs each more than the rest
    request = _serve(socket.socket(fileno=int(number)))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.path[0] = "" if program == "-c" else request["folder"]
    time.tzset()
    try:
        _run(program, request["arguments"])
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _code.append(end.code or 0)
        raise
    _code.append(0)


def _run(program: str, arguments: list[str]) -> None:
    if program == "-c":
        _run_text(*arguments)
    else:
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _leave() -> None:
    """Skip the end of the interpreter, which takes ten times as long as a short command."""
    if _code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_code[0] & 0xFF)


def _run_text(text: str, *arguments: str) -> None:
    sys.argv = ["-c", *arguments]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(text, "<string>", "exec"), module.__dict__)


def _import_all(package: str) -> None:
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not found.ispkg and found.name != "__main__":
            importlib.import_module(f"{package}.{found.name}")


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Return in a forked copy, once for each request."""
    while True:
        message, fds, _, _ = socket.recv_fds(connection, 1 << 20, 4)
        if not message:
            os._exit(0)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            connection.close()
            _become(fds)
            return dict(json.loads(message))
        for fd in fds:
            os.close(fd)


def _become(fds: list[int]) -> None:
    """Take the streams in a second copy; the first one reports how that ends."""
    *streams, reply = fds
    if pid := os.fork():
        _report(pid, reply)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)


def _report(pid: int, reply: int) -> NoReturn:
    os.write(reply, pid.to_bytes(8, "little", signed=True))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(reply, code.to_bytes(8, "little", signed=True))
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
