"""POSIX record locks: bytes of a file that one process holds until it frees them or ends.

A fork does not inherit them. Closing any descriptor of a file frees all locks of the process on it.
A process never conflicts with its own locks, so `conflict` does not report them.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FLOCK = struct.Struct("@hhqqi4x")  # struct flock of fcntl(2) on 64-bit Linux
_LIST = Path("/proc/locks")
_READINGS = 3
_FITS_IN_ONE_READ = 2048


class RecordLock(NamedTuple):
    """A lock of a process.

    Attributes:
        kind: `fcntl.F_WRLCK` or `fcntl.F_RDLCK`.
        first: its first byte.
        length: number of bytes; 0 for all up to the end of the file.
        pid: the process; 0 or less for one that cannot be seen, as in another container.
    """

    kind: int
    first: int
    length: int
    pid: int


def take(descriptor: int, first: int, length: int = 1) -> bool:
    """Lock bytes of a file for this process; return False when another process holds one.

    Raises:
        OSError: the file system has no locks, or the file is not open for writing.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, first)
    except (BlockingIOError, PermissionError):
        return False
    return True


def free(descriptor: int, first: int, length: int = 1) -> None:
    """Free bytes of a file that this process holds."""
    fcntl.lockf(descriptor, fcntl.LOCK_UN, length, first)


def conflict(descriptor: int, first: int, length: int = 1) -> RecordLock | None:
    """Return another process's lock that prevents this one from locking bytes, or None.

    This locks nothing, and the file need not be open for writing.
    """
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, first, length, 0)
    found = fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted)
    kind, _whence, start, covered, pid = _FLOCK.unpack(found)
    return None if kind == fcntl.F_UNLCK else RecordLock(kind, start, covered, pid)


def on_file(path: str) -> list[RecordLock]:
    """Return the locks of all visible processes on a file, also those of this one.

    Raises:
        OSError: there is no such file, or the locks are hidden.
    """
    inode = os.stat(path).st_ino  # noqa: PTH116
    return list(dict.fromkeys(parsed(listed(), inode)))


def listed() -> Iterator[str]:
    """Yield the lines of /proc/locks; the same lock may come several times.

    One read returns at most a page, and the next one counts the locks from the first. When another
    process frees a lock in between, one of the others is left out. So a long list is read again.

    Raises:
        OSError: the locks are hidden.
    """
    for _ in range(_READINGS):
        text = _LIST.read_text(encoding="ascii")
        yield from text.splitlines()
        if len(text) <= _FITS_IN_ONE_READ:
            return


def parsed(lines: Iterable[str], inode: int | None = None) -> Iterator[RecordLock]:
    """Yield the locks on a file, or on all files, that lines of /proc/locks describe."""
    end = "" if inode is None else f":{inode}"
    for line in lines:
        # 12: POSIX  ADVISORY  READ 4711 08:01:131 123 123, and "->" after the number in a queue
        fields = line.split()
        if len(fields) == 8 and fields[1] == "POSIX" and fields[5].endswith(end):
            first, last = int(fields[6]), fields[7]
            kind = fcntl.F_WRLCK if fields[3] == "WRITE" else fcntl.F_RDLCK
            length = 0 if last == "EOF" else int(last) - first + 1
            yield RecordLock(kind, first, length, int(fields[4]))
