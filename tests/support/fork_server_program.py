"""The program behind `support.fork_server`: it imports much once, then forks for each request."""

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
import sys
import time
import types
from contextlib import suppress
from typing import Any

_PACKAGES = {
    "gigq": ("gigq", "gigq.cli", "gigq.store"),
    "gigqd": ("gigqd.cli",),
    "-c": ("gigqd.logs", "gigqd.worker"),
    "daemon on postgres": ("gigq.store.postgres",),
}
"""Packages of which every module is imported."""

_EVERY_DAEMON_IMPORTS = (
    "gigqd.host.installation",
    "gigqd.cli.run",
    "gigqd.cli.start_checks",
    "gigqd.supervisor.loop",
    "gigqd.worker.worker",
    "gigqd.worker.preload",
    "gigqd.recorder.recorder",
)
_ROOT = __file__.rsplit("/", 3)[0]

_code: list[int] = []
"""The exit code of the program, once it is known."""


def _main(program: str, number: str) -> None:
    atexit.register(_leave)  # the first to be registered is the last to be called
    sys.path[0] = _ROOT  # this copy of the project, whichever is installed
    _import_for(program)
    request = _serve(socket.socket(fileno=int(number)))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    if request["own_group"]:
        os.setpgid(0, 0)
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
        module = "gigqd" if program.startswith("daemon") else program
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


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


def _import_for(program: str) -> None:
    """Import what the program imports; of a daemon's modules only those that every start imports.

    The others stay out, so that a daemon of a test imports them when another one would.
    """
    if program.startswith("daemon"):
        for name in _EVERY_DAEMON_IMPORTS:
            importlib.import_module(name)
    for package in _PACKAGES.get(program, ()):
        _import_all(package)
    if program != "daemon":
        importlib.import_module("psycopg")  # loaded late, and half of the time of most commands


def _import_all(package: str) -> None:
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not found.ispkg and found.name != "__main__":
            importlib.import_module(f"{package}.{found.name}")


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Return in a forked copy, once for each request; report how each copy ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the tests clean up and need the reports
    replies: dict[int, int] = {}
    while True:
        ready = select.select([connection, *replies], [], [])[0]
        for ended in set(ready) - {connection}:
            _report(ended, replies.pop(ended))
        if connection not in ready:
            continue
        message, fds, _, _ = socket.recv_fds(connection, 1 << 20, 4)
        if not message:
            os._exit(0)
        *streams, reply = fds
        if (pid := os.fork()) == 0:
            connection.close()
            _become(streams, [*fds, *replies, *replies.values()])
            return dict(json.loads(message))
        for fd in streams:
            os.close(fd)
        _write(reply, pid)
        replies[os.pidfd_open(pid)] = reply


def _become(streams: list[int], others: list[int]) -> None:
    """Take the streams, and close what is of use to the server only."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    for fd in others:
        os.close(fd)


def _report(ended: int, reply: int) -> None:
    """Write the exit code of a copy, of which there is a pidfd; negative for a signal."""
    found = os.waitid(os.P_PIDFD, ended, os.WEXITED)
    assert found
    _write(reply, found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)
    os.close(ended)
    os.close(reply)


def _write(reply: int, number: int) -> None:
    with suppress(BrokenPipeError):  # the test waits no longer
        os.write(reply, number.to_bytes(8, "little", signed=True))


if __name__ == "__main__":
    _main(*sys.argv[1:])
