"""A process that listens in the place of a daemon, and behaves in one of many wrong ways."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAM = r"""
import os, socket, sys
from pathlib import Path
from gigqd.ipc.control_socket import address
path, how, uid = sys.argv[1], sys.argv[2], int(sys.argv[3])
listener = socket.socket(socket.AF_UNIX)
with address(Path(path)) as name:
    listener.bind(name)
os.chmod(path, 0o666)
if uid:
    os.setuid(uid)
listener.listen()
print("listening", flush=True)
while True:
    client, _ = listener.accept()
    if how == "silent":
        continue
    with client:
        try:
            if client.recv(65536):
                client.sendall({
                    "closes": b"",
                    "garbage": b"\xff\xfe\x1b[2J not json\n",
                    "a number": b"1\n",
                    "an empty object": b"{}\n",
                    "ok only": b'{"ok": true}\n',
                    "wrong kinds": b'{"ok": true, "slots": [[]], "recent_failures": {}}\n',
                    "nested": b"[" * 100000 + b"\n",
                    "endless": b"x" * 1_000_000,
                    "lies": b'{"ok": false, "error": "\\u001b[2J", "code": 70}\n',
                }[how])
                while how == "endless":
                    client.sendall(b"x" * 1_000_000)
        except OSError:
            pass
"""


@contextmanager
def impostor(path: Path, how: str, uid: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that listens at a path.

    Args:
        path: where.
        how: what it does with a client, one of the words in the program above.
        uid: which user it becomes first, as root only; 0 stays.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(path), how, str(uid)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield process
        finally:
            process.kill()
