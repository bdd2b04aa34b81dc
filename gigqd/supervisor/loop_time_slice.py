"""Time slice of a step of the loop: names that it has no time for are served first next time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


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
