"""Ids that sort by the time of their making: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time

_VERSION = 7 << 76
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
os.register_at_fork(after_in_child=_stamps.forget_lock)


def new_id() -> str:
    """A new id, greater than every one made before in this process."""
    stamp = _stamps.next()
    head = (stamp >> 12) << 80 | _VERSION | (stamp & 0xFFF) << 64
    noise = int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{head | _VARIANT | noise:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
