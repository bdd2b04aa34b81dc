"""Sums of the successful jobs that have no line of their own in the log.

A worker counts in memory that it shares with the supervisor, and the supervisor writes the lines.
So no sum is missing when a worker dies or runs one job for hours.
"""

from __future__ import annotations

import math
import mmap

from gigqd import logs

log = logs.get_logger(__name__)

_EVERY = 1.0


class SharedCounts:
    """The counts of one worker, as `gigq.execution.job_events.Counts`, in memory that it shares.

    Each is stored by one instruction, so that a reader never sees half of it.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 16)).cast("Q")

    @property
    def summed(self) -> int:
        """Number of successes so far that have no line of their own."""
        return self._numbers[0]

    @summed.setter
    def summed(self, count: int) -> None:
        self._numbers[0] = count

    @property
    def unreported(self) -> int:
        """Number of recorded successes that the worker has not reported yet."""
        return self._numbers[1]

    @unreported.setter
    def unreported(self, count: int) -> None:
        self._numbers[1] = count


class CompletedCounts:
    """Writes the sums of one worker: at most once a second, and when it has ended.

    Args:
        counts: the counts of the worker.
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

    def step(self, now: float) -> None:
        """Write the sum of the second that is over."""
        if not self.is_open:
            return
        if self._at == math.inf:
            self._at = now + _EVERY
        elif now >= self._at:
            self._write(self._counts.summed)

    def end(self) -> None:
        """Write the rest, after the worker has ended."""
        self._write(self._counts.summed + self._counts.unreported)

    def _write(self, count: int) -> None:
        if count > self._written:
            log.info("jobs.completed", count=count - self._written, **self._worker)
        self._written, self._at = count, math.inf
