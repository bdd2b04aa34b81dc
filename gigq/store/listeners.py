"""Objects with which an idle worker waits for jobs; those here are for a worker that only polls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gigq.descriptors import wait_readable
from gigq.model.jitter import random_between

if TYPE_CHECKING:
    from collections.abc import Iterable


class WakeupListener(Protocol):
    """The object with which an idle worker waits for wakeups."""

    def drain(self) -> bool:
        """Forget all wakeups so far: the caller's next look finds their jobs."""

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until a wakeup, input on one of the descriptors, or `timeout` seconds."""

    def rest(self) -> None:
        """Note that the worker runs jobs, and needs no wakeups until its next wait."""

    def close(self) -> None:
        """Stop waiting."""


class NoWakeups:
    """A listener that waits for other descriptors only."""

    def drain(self) -> bool:
        """Return False: there are no wakeups."""
        return False

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until input on one of the descriptors `others`, or `timeout` seconds."""
        wait_readable(others, timeout)
        return False

    def rest(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class NoWatch:
    """A watch of a database that does not report writes, so that its workers poll.

    Args:
        interval: seconds between two polls at most.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval

    @property
    def longest_sleep(self) -> float:
        """Seconds to sleep at most; not the same for all workers."""
        return random_between(0.75 * self._interval, self._interval)

    def descriptors(self) -> list[int]:
        """Return no descriptors."""
        return []

    def renew(self) -> bool:
        """Return False: there is nothing to open again."""
        return False

    def take(self) -> bool:
        """Return False: no write was reported."""
        return False

    def close(self) -> None:
        """Do nothing."""
