"""Pid file: the daemon's process id for operators and scripts; it is not a lock."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FILE_MODE = 0o640
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO in its place would block.
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST_NOTE = 64
_LARGEST_PID = 2**22


def read(path: Path) -> int | None:
    """Return the number in a pid file; None when it is missing or begins with anything else."""
    try:
        fd = os.open(path, _TO_READ)
    except OSError:
        return None
    try:
        text = os.read(fd, _LONGEST_NOTE) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
    number = text.partition(b"\n")[0].strip()
    pid = int(number) if number.isdigit() else 0
    return pid if 0 < pid <= _LARGEST_PID else None


def write(path: Path) -> None:
    """Write this process's id; readers see the old file or the complete new one.

    Raises:
        OSError: the file cannot be written; no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # left by an interrupted start, or not a daemon's
        with os.fdopen(os.open(temporary, _NEW_FILE, _FILE_MODE), "w") as file:
            file.write(f"{os.getpid()}\n")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):  # the caller gets the first error
            temporary.unlink()
        raise


def remove_own(path: Path) -> None:
    """Remove the pid file if it is this process's."""
    if read(path) == os.getpid():
        path.unlink(missing_ok=True)
