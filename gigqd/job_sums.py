"""Sums of the successful jobs that have no line of their own in the log.

A worker counts, in memory that it shares with the supervisor, and the supervisor writes: so a
worker that dies, or runs one job for hours, keeps no sum back.
"""

from __future__ import annotations

import math
import mmap
import struct

from gigqd import logs

log = logs.get_logger("gigqd.crew")

_NUMBER = struct.Struct("<Q")
_SUMMED_AT, _UNTOLD_AT = 0, _NUMBER.size
_EVERY = 1.0


class SharedCounts:
    """The counts of one worker, as `gigq.reports.Counts`, in memory that it shares."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2 * _NUMBER.size)

    @property
    def summed(self) -> int:
        """How many successes the worker has left to the sums so far."""
        return self._read(_SUMMED_AT)

    @summed.setter
    def summed(self, count: int) -> None:
        self._write(_SUMMED_AT, count)

    @property
    def untold(self) -> int:
        """How many successes are recorded, and the worker will write a line or a sum later."""
        return self._read(_UNTOLD_AT)

    @untold.setter
    def untold(self, count: int) -> None:
        self._write(_UNTOLD_AT, count)

    def _read(self, at: int) -> int:
        return int(_NUMBER.unpack_from(self._memory, at)[0])

    def _write(self, at: int, count: int) -> None:
        # Packed first: packing into memory clears it before it is written.
        self._memory[at : at + _NUMBER.size] = _NUMBER.pack(count)


class JobSums:
    """Writes the sums of one worker: at most once a second, and when it has ended.

    Args:
        counts: what the worker counts.
        worker: fields that name it.
    """

    def __init__(self, counts: SharedCounts, **worker: str) -> None:
        self._counts = counts
        self._worker = worker
        self._written = 0
        self._at = math.inf

    @property
    def is_open(self) -> bool:
        """Return True while there is a sum to be written."""
        return self._counts.summed > self._written

    def turn(self, now: float) -> None:
        """Write the sum of the second that is over."""
        if not self.is_open:
            return
        if self._at == math.inf:
            self._at = now + _EVERY
        elif now >= self._at:
            self._write(self._counts.summed)

    def end(self) -> None:
        """Write what the worker has not, now that it has ended."""
        self._write(self._counts.summed + self._counts.untold)

    def _write(self, count: int) -> None:
        if count > self._written:
            log.info("jobs.completed", count=count - self._written, **self._worker)
        self._written, self._at = count, math.inf
