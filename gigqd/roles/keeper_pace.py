"""When the keeper looks next: soon after something was written, and every second in any case."""

from __future__ import annotations

import math
import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.store import file_watch

if TYPE_CHECKING:
    from gigqd.wire import Wire

LATE = 1.0
SOON = 0.1
_LIVELY = 2.0
_MANY = 65536


class Pace:
    """Sleeps between two looks at the database.

    The kernel tells of every write to the file and to its log. It does so before a commit can be
    read, and once a page; so it is taken for a sign of life only. The first one has the keeper
    look soon, and look again and again until nothing was written for two seconds. Where the kernel
    does not tell, it is always taken to be lively.

    Args:
        wire: the line to the supervisor; what comes there ends any sleep.
    """

    def __init__(self, wire: Wire) -> None:
        self._lines = select.poll()  # unlike select(), it takes any descriptor
        self._lines.register(wire, select.POLLIN)
        self._both = select.poll()
        self._both.register(wire, select.POLLIN)
        self._ear: int | None = None
        self._lively_until = 0.0

    def follow(self, path: str) -> None:
        """Hear of writes to the database file and the log that lie at their paths now."""
        self._be_deaf()
        with suppress(OSError):  # this user has too many such descriptors: look more often
            self._ear = file_watch.watch(path, f"{path}-wal")
            self._both.register(self._ear, select.POLLIN)
        self._lively_until = time.monotonic() + _LIVELY

    def sleep(self, longest: float = math.inf) -> bool:
        """Sleep until there is a message, or the next look at the database is due.

        Args:
            longest: seconds until it is due at the latest.

        Returns:
            Whether there is a message.
        """
        soon = min(longest, SOON)
        if self._ear is None:
            return self.wait(soon)
        lively = time.monotonic() < self._lively_until
        late = math.ceil(min(longest, LATE) * 1000)
        heard = () if lively else [number for number, _ in self._both.poll(late)]
        if not (lively or heard):
            return False
        woken = any(number != self._ear for number in heard) or self.wait(soon)
        # Before the look that comes next, so that what is written during it counts.
        with suppress(BlockingIOError):
            os.read(self._ear, _MANY)
            self._lively_until = time.monotonic() + _LIVELY
        return woken

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until there is a message; whether there is one."""
        return bool(self._lines.poll(math.ceil(max(0.0, seconds) * 1000)))

    def _be_deaf(self) -> None:
        if self._ear is not None:
            self._both.unregister(self._ear)
            os.close(self._ear)
            self._ear = None
