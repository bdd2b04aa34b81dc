"""Watches files for writes, through inotify(7)."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

# From <linux/inotify.h>: writes, changes of attributes, and that a file was moved or deleted.
_EVENTS = 0x00000002 | 0x00000004 | 0x00000800
_MANY = 65536


def watch(*paths: str) -> int:
    """Return a descriptor that becomes readable when one of some files is written or replaced.

    Raises:
        OSError: a file is missing, or this account has too many such descriptors.
    """
    libc = _libc()
    descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0:
        raise _error("inotify_init1")
    for path in paths:
        if libc.inotify_add_watch(descriptor, os.fsencode(path), _EVENTS) < 0:
            error = _error(f"inotify_add_watch({path})")
            os.close(descriptor)
            raise error
    return descriptor


class DatabaseWatch:
    """Watches a database file and its write-ahead log, wherever they lie now.

    The kernel reports a write before its commit can be read. So look a moment later.

    Args:
        path: the database file.
    """

    def __init__(self, path: str) -> None:
        self._paths = path, f"{path}-wal"
        self._descriptor = -1
        self._watched: list[tuple[int, int]] = []

    def descriptors(self) -> list[int]:
        """Return what to wait for: a descriptor, or nothing where the kernel does not report."""
        return [] if self._descriptor < 0 else [self._descriptor]

    def renew(self) -> bool:
        """Watch the files that lie at the paths now.

        Returns:
            Whether they are others than before, so that earlier writes were not reported.
        """
        try:
            found = [_identity(path) for path in self._paths]
        except OSError:
            found = []
        if found and found == self._watched and self._descriptor >= 0:
            return False
        self.close()
        try:
            self._descriptor = watch(*self._paths)
        except OSError:
            return False
        self._watched = found
        return True

    def take(self) -> bool:
        """Return whether something was written since the last call."""
        if self._descriptor < 0:
            return False
        try:
            return bool(os.read(self._descriptor, _MANY))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - at every sleep
    return found.st_dev, found.st_ino


@cache
def _libc() -> ctypes.CDLL:
    # Late: only processes that wait need it, and it is slow to import.
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _error(call: str) -> OSError:
    import ctypes

    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
