"""Polling interval of the recorder: 0.1 s after a write, and at most 1 s."""

from __future__ import annotations

import math
import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.store.sqlite.processes import file_watch

if TYPE_CHECKING:
    from gigqd.ipc.json_socket import JsonSocket

IDLE_INTERVAL = 1.0
BUSY_INTERVAL = 0.1
_LIVELY = 2.0
_MANY = 65536


class Polling:
    """The sleep between two polls of the database.

    inotify reports every write to the file and its log, but before the commit can be read and once
    for each page. So a report only makes the recorder poll every 0.1 s until no write was reported
    for 2 s. Without inotify the recorder always polls every 0.1 s.

    Args:
        json_socket: the socket to the supervisor; a message ends any sleep.
    """

    def __init__(self, json_socket: JsonSocket) -> None:
        self._lines = select.poll()  # unlike select(), it takes any descriptor
        self._lines.register(json_socket, select.POLLIN)
        self._both = select.poll()
        self._both.register(json_socket, select.POLLIN)
        self._file_watch: int | None = None
        self._lively_until = 0.0

    def follow(self, path: str) -> None:
        """Watch the database file and the log that are at their paths now."""
        self._stop_watching()
        with suppress(OSError):  # too many inotify descriptors of this user: poll more often
            self._file_watch = file_watch.watch(path, f"{path}-wal")
            self._both.register(self._file_watch, select.POLLIN)
        self._lively_until = time.monotonic() + _LIVELY

    def sleep(self, longest: float = math.inf) -> bool:
        """Sleep until there is a message, or the next poll of the database is due.

        Args:
            longest: seconds to sleep at most.

        Returns:
            True when there is a message.
        """
        soon = min(longest, BUSY_INTERVAL)
        if self._file_watch is None:
            return self.wait(soon)
        lively = time.monotonic() < self._lively_until
        late = math.ceil(min(longest, IDLE_INTERVAL) * 1000)
        heard = () if lively else [number for number, _ in self._both.poll(late)]
        if not (lively or heard):
            return False
        woken = any(number != self._file_watch for number in heard) or self.wait(soon)
        # Before the next poll, so that a write during the poll is reported again.
        with suppress(BlockingIOError):
            os.read(self._file_watch, _MANY)
            self._lively_until = time.monotonic() + _LIVELY
        return woken

    def wait(self, seconds: float) -> bool:
        """Wait for a message, `seconds` at most; return True when there is one."""
        return bool(self._lines.poll(math.ceil(max(0.0, seconds) * 1000)))

    def _stop_watching(self) -> None:
        if self._file_watch is not None:
            self._both.unregister(self._file_watch)
            os.close(self._file_watch)
            self._file_watch = None
