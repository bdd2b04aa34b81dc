"""Distinction between a leak and resources that a job opens once and keeps."""

from __future__ import annotations

_SEVERAL = 3


class GrowthCheck:
    """Check whether the number of threads or descriptors grows with each job.

    A pool, a connection or a library's threads make it rise once or a few times. It is a leak when
    it has risen after three jobs, and by more than `spare` since the first of them.

    Args:
        spare: the accepted rise after the first one.

    Attributes:
        highest: the highest accepted number.
    """

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._rises = 0
        self._grown = 0.0
        self.highest = 0.0

    def is_leak(self, count: float) -> bool:
        """Return True when this number shows a leak."""
        rise = count - self.highest
        return rise > 0 and self._rises + 1 >= _SEVERAL and self._grown + rise > self._spare

    def note(self, count: float) -> None:
        """Accept the number after a job."""
        rise = count - self.highest
        if rise > 0:
            self._grown += rise if self._rises else 0
            self._rises += 1
            self.highest = count

    def allow(self, more: float) -> None:
        """Accept the rise that an import has caused."""
        self.highest += max(0.0, more)
