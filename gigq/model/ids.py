"""Ids that sort by their creation time: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from _random import Random

_VARIANT = 0b10 << 62


class _Stamps:
    """Unique timestamps: 48 bits of milliseconds and 12 bits of their fraction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def take(self, count: int) -> range:
        """Return so many timestamps, from now on or from after the last one."""
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        with self._lock:
            first = max(milliseconds << 12 | (rest << 12) // 1_000_000, self._last + 1)
            self._last = first + count - 1
        return range(first, first + count)

    def forget_lock(self) -> None:
        """Replace the lock after a fork: a thread of the parent may hold it."""
        self._lock = threading.Lock()


_stamps = _Stamps()
# A generator of its own, seeded by the system: a job that seeds Python's must not seed the ids.
# `_random`, since a worker that has loaded `random` must seed it again for each job.
_noise = Random()
os.register_at_fork(after_in_child=_stamps.forget_lock)
os.register_at_fork(after_in_child=_noise.seed)


def new_id() -> str:
    """Return a new id, greater than all earlier ones of this process."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """Return so many new ids, in increasing order."""
    return [_id(stamp) for stamp in _stamps.take(count)]


def _id(stamp: int) -> str:
    time_ = f"{stamp:015x}"
    noise = f"{_VARIANT | _noise.getrandbits(62):016x}"
    return f"{time_[:8]}-{time_[8:12]}-7{time_[12:]}-{noise[:4]}-{noise[4:]}"
