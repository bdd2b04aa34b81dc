"""Ids that sort by the time of their making: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import random
import threading
import time

_VARIANT = 0b10 << 62


class _Stamps:
    """Hands out stamps of 48 bits of milliseconds and 12 of their fraction, never one twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The time now, or one tick past the last stamp when the clock did not move on."""
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        with self._lock:
            self._last = max(milliseconds << 12 | (rest << 12) // 1_000_000, self._last + 1)
            return self._last

    def forget_lock(self) -> None:
        """Replace the lock: at a fork, a thread that the child does not have may hold it."""
        self._lock = threading.Lock()


_stamps = _Stamps()
# A generator of our own, seeded by the system: whoever seeds Python's would seed the ids too.
_noise = random.Random()  # noqa: S311 - ids must differ, nothing more
os.register_at_fork(after_in_child=_stamps.forget_lock)
os.register_at_fork(after_in_child=_noise.seed)


def new_id() -> str:
    """A new id, greater than every one made before in this process."""
    stamp = f"{_stamps.next():015x}"
    noise = f"{_VARIANT | _noise.getrandbits(62):016x}"
    return f"{stamp[:8]}-{stamp[8:12]}-7{stamp[12:]}-{noise[:4]}-{noise[4:]}"
