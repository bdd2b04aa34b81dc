"""The pid file: one number, a note for people and never a lock."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FILE_MODE = 0o640
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_NOTE = 64
_LARGEST_PID = 2**22


def read(path: Path) -> int | None:
    """Return the number in a pid file; None when it is missing or begins with anything else."""
    try:
        # Without O_NONBLOCK a FIFO in its place would hold the reader for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return _parse(os.read(fd, _LONGEST_NOTE))
    finally:
        os.close(fd)


def write(path: Path) -> None:
    """Note this process; readers see the old file or the whole new one.

    Raises:
        OSError: the file cannot be written; nothing is left of the try.
    """
    me = os.getpid()
    temporary = path.with_name(f".{path.name}.{me}")
    try:
        _write_durably(temporary, f"{me}\n".encode())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):  # the write is what failed, and is what the caller hears of
            temporary.unlink()
        raise


def remove_own(path: Path) -> None:
    """Remove the pid file if it is this process's."""
    if read(path) == os.getpid():
        path.unlink(missing_ok=True)


def _parse(text: bytes) -> int | None:
    number = text.partition(b"\n")[0].strip()
    if not number.isdigit():
        return None
    return pid if 0 < (pid := int(number)) <= _LARGEST_PID else None


def _write_durably(path: Path, text: bytes) -> None:
    with suppress(FileNotFoundError):  # of a start that was cut short, or none of ours
        path.unlink()
    fd = os.open(path, _NEW_FILE, _FILE_MODE)
    try:
        os.write(fd, text)
        os.fsync(fd)
    finally:
        os.close(fd)
