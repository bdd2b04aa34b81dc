"""Notification of writes to files, through inotify(7)."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from gigq.errors import StoreGone
from gigq.store.sqlite.file.identity import file_id

if TYPE_CHECKING:
    import ctypes

    from gigq.store.sqlite.file.identity import FileId

# From <linux/inotify.h>: IN_MODIFY, IN_ATTRIB (which reports a deletion, too) and IN_MOVE_SELF.
_EVENTS = 0x00000002 | 0x00000004 | 0x00000800
_MANY = 65536


def watch(*paths: str) -> int:
    """Return a descriptor that becomes readable when one of the files is written or replaced.

    Raises:
        OSError: a file is missing, or this account has too many inotify descriptors.
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
    """A watch for writes to the files at the paths of a database and its write-ahead log.

    The kernel reports a write before its commit can be read. So callers look a moment later.

    Args:
        path: the database file.
    """

    longest_sleep = 0.2
    """Seconds to sleep at most after a write that was reported without a wakeup."""

    def __init__(self, path: str) -> None:
        self._paths = path, f"{path}-wal"
        self._descriptor = -1
        self._watched: list[FileId | None] = []

    def descriptors(self) -> list[int]:
        """Return the descriptor to wait for; an empty list when there is no inotify watch."""
        return [] if self._descriptor < 0 else [self._descriptor]

    def renew(self) -> bool:
        """Watch the files that are at the paths now.

        Returns:
            True when they are not the files watched so far, whose writes alone were reported.
        """
        found: list[FileId | None] = []
        with suppress(StoreGone):
            found = [file_id(path) for path in self._paths]
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
        """Return True when a file was written since the last call."""
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


@cache
def _libc() -> ctypes.CDLL:
    # Imported late: only processes that wait need it, and its import is slow.
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _error(call: str) -> OSError:
    import ctypes

    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
