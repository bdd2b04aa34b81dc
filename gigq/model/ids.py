"""Ids that sort by the time of their making: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from _random import Random

_VARIANT = 0b10 << 62


class _Stamps:
    """Hands out stamps of 48 bits of milliseconds and 12 of their fraction, never one twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def take(self, count: int) -> range:
        """So many, from the time now, or past the last one when the clock did not move on."""
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        with self._lock:
            first = max(milliseconds << 12 | (rest << 12) // 1_000_000, self._last + 1)
            self._last = first + count - 1
        return range(first, first + count)

    def forget_lock(self) -> None:
        """Replace the lock: at a fork, a thread that the child does not have may hold it."""
        self._lock = threading.Lock()


_stamps = _Stamps()
# A generator of our own, seeded by the system: a job that seeds Python's must not seed the ids.
# From `_random`, because `random` costs each job a new seed once it is loaded.
_noise = Random()
os.register_at_fork(after_in_child=_stamps.forget_lock)
os.register_at_fork(after_in_child=_noise.seed)


def new_id() -> str:
    """A new id, greater than every one made before in this process."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """So many new ids, each greater than the one before."""
    return [_id(stamp) for stamp in _stamps.take(count)]


def _id(stamp: int) -> str:
    time_ = f"{stamp:015x}"
    noise = f"{_VARIANT | _noise.getrandbits(62):016x}"
    return f"{time_[:8]}-{time_[8:12]}-7{time_[12:]}-{noise[:4]}-{noise[4:]}"
