"""Time slices: parts of long work, between which a process does its other work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def advance(steps: Iterator[bool | None], seconds: float) -> bool:
    """Advance an iterator until its time is over; at least one step is made.

    Args:
        steps: the work; a step that yields True ends the slice.
        seconds: the length of the slice; its last step may exceed it.

    Returns:
        True when there are no more steps.
    """
    until = time.monotonic() + seconds
    return not any(ends_slice or time.monotonic() >= until for ends_slice in steps)


class TimeSlice:
    """Serves names one after another until its time is over, and continues there next time.

    Args:
        seconds: the length of the slice; serving the last name may exceed it.

    Attributes:
        behind: True when some names were not served in the last step.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: list[str] = []
        self.behind = False

    def serve(self, names: Iterable[str], serve: Callable[[str], None]) -> None:
        """Serve each name once, first those that the last step had no time for.

        Args:
            names: all current names.
            serve: called with a name; the first name is always served.
        """
        until = time.monotonic() + self._seconds
        there = dict.fromkeys(names)
        order = [name for name in self._waiting if name in there] or list(there)
        self._waiting = []
        for index, name in enumerate(order, start=1):
            serve(name)
            if time.monotonic() >= until:
                self._waiting = order[index:]
                break
        self.behind = bool(self._waiting)
