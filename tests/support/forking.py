"""Job functions whose processes multiply, leave home, and deny where they come from."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from support.jobs import note, noted

_AGES = 3600.0
_SHELL_TREE = """
level=$1
if [ "$level" -gt 0 ]; then
    for _ in 1 2 3; do sh "$0" $((level - 1)) & done
fi
while :; do sleep 3600; done
"""
_MOST_HOPS = 20_000


def shell_tree(ledger: str, job: str, levels: int) -> None:
    """Start a tree of shells, each with three below it, and each with a `sleep`."""
    with noted(ledger, job):
        script = Path(ledger).with_name("tree.sh")
        script.write_text(_SHELL_TREE)
        subprocess.run(["/bin/sh", str(script), str(levels)])


def slip_away(ledger: str, job: str, *, stay: bool = True) -> None:
    """Fork twice into a session of its own, empty the environment, and execute something."""
    with noted(ledger, job):
        _daemonize(lambda: _note_and_exec(ledger, job, {}))
        _wait_for_note(ledger)
        if stay:
            time.sleep(_AGES)


def slip_away_without_a_trace(ledger: str, job: str) -> None:
    """The same, and lower the unused limit, which carries the stamp."""
    with noted(ledger, job):
        _daemonize(lambda: _note_and_exec(ledger, job, {}, ("prlimit", "--locks=100")))
        _wait_for_note(ledger)
        time.sleep(_AGES)


def eat_memory(ledger: str, job: str, path: str, megabytes: int) -> None:
    """Wait for a file, then use so much memory."""
    with noted(ledger, job):
        while not Path(path).exists():
            time.sleep(0.01)
        eaten = [b"x" * 2**20 for _ in range(megabytes)]
        time.sleep(_AGES if eaten else 0)


def hop(ledger: str, job: str, chains: int, *, setsid: bool) -> None:
    """Keep processes that never stay: each forks a successor and ends, for some thousand times."""
    with noted(ledger, job):
        counter = mmap.mmap(-1, 8)
        for _ in range(chains):
            if os.fork() == 0:
                _hop_on(counter, setsid=setsid)
        while _number_in(counter) < 100:
            time.sleep(0.01)
        note(ledger, what="child", job=job)
        time.sleep(_AGES)


def multiply(ledger: str, job: str, most: int) -> None:
    """Double again and again, until there are so many processes; each leads its own session."""
    with noted(ledger, job):
        counter = mmap.mmap(-1, 8)
        note(ledger, what="child", job=job)
        while _number_in(counter) < most:
            _count(counter)
            if os.fork() == 0:
                os.setsid()
        time.sleep(_AGES)
        os._exit(0)


def child_of_another_user(ledger: str, job: str, uid: int) -> None:
    """Leave a child that has become another user."""
    with noted(ledger, job):
        subprocess.Popen(["/bin/sh", "-c", f"exec setpriv --reuid {uid} sleep 3600"])
        time.sleep(_AGES)


def abuse_the_line(ledger: str, job: str, how: str) -> None:
    """Write to the worker's own line what no worker writes, then stay."""
    with noted(ledger, job):
        line = _line_to_the_supervisor()
        garbage = {
            "flood": b"\n" * 2**20,
            "garbage": os.urandom(2**20),
            "half": b'{"boot_error": "',
            "megabyte": b'{"boot_error": "' + b"x" * 2**20 + b'"}\n',
        }.get(how, b"")
        end = time.monotonic() + _AGES
        line.setblocking(True)
        note(ledger, what="child", job=job)
        while garbage and time.monotonic() < end:
            line.sendall(garbage)
            if how != "flood":
                break
        time.sleep(_AGES)


def _line_to_the_supervisor() -> socket.socket:
    """The only connected pair of sockets that a worker has."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own descriptor is closed by now
            if str(entry.readlink()).startswith("socket:"):
                sock = socket.socket(fileno=os.dup(int(entry.name)))
                if sock.type == socket.SOCK_STREAM and not sock.getpeername():
                    return sock
    raise LookupError("a worker has a line to the supervisor")


def _daemonize(body: object) -> None:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    os.setsid()
    if os.fork() == 0:
        try:
            body()  # type: ignore[operator]
        finally:
            os._exit(1)
    os._exit(0)


def _note_and_exec(
    ledger: str, job: str, environment: dict[str, str], before: tuple[str, ...] = ()
) -> None:
    note(ledger, what="child", job=job)
    command = [*before, "sleep", str(_AGES)]
    os.execvpe(command[0], command, environment)


def _wait_for_note(ledger: str) -> None:
    while '"what": "child"' not in Path(ledger).read_text():
        time.sleep(0.01)


def _hop_on(counter: mmap.mmap, *, setsid: bool) -> None:
    """Be one process after the other."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while _number_in(counter) < _MOST_HOPS:
        _count(counter)
        if os.fork():
            os._exit(0)
        if setsid:
            os.setsid()
    os._exit(0)


def _count(counter: mmap.mmap) -> None:
    """Roughly: two processes may count at once."""
    counter[:8] = struct.pack("<Q", _number_in(counter) + 1)


def _number_in(counter: mmap.mmap) -> int:
    return int(struct.unpack("<Q", counter[:8])[0])
