"""Distinguishes a leak from what a job opens once and keeps."""

from __future__ import annotations

_SEVERAL = 3


class Growth:
    """A count of threads or descriptors after each job, and the highest it has been.

    A pool, a connection or a library's own threads come once, or a few times. A leak goes on: it
    is one when the count has risen after several jobs, and by more than `spare` since the first.

    Args:
        spare: how much the count may rise after the first time.

    Attributes:
        highest: the count that has been accepted.
    """

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._rises = 0
        self._grown = 0.0
        self.highest = 0.0

    def is_leak(self, count: float) -> bool:
        """Return whether this count is one rise too many."""
        rise = count - self.highest
        return rise > 0 and self._rises + 1 >= _SEVERAL and self._grown + rise > self._spare

    def note(self, count: float) -> None:
        """Accept the count after a job."""
        rise = count - self.highest
        if rise > 0:
            self._grown += rise if self._rises else 0
            self._rises += 1
            self.highest = count

    def allow(self, more: float) -> None:
        """Accept what an import has added."""
        self.highest += max(0.0, more)
