"""A share of a turn of the loop: it serves many, and in the next turn those it had no time for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class TimeSlice:
    """Serves names one after another until its time is over, and goes on there the next time.

    Args:
        seconds: how long one turn may take; a little more when serving a single one does.

    Attributes:
        behind: whether some were not served in the last turn.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: list[str] = []
        self.behind = False

    def serve(self, names: Iterable[str], serve: Callable[[str], None]) -> None:
        """Serve each name once, those first that the last turn had no time for.

        Args:
            names: all that are there now; one that is gone is served no more.
            serve: what to do for one of them; the first is always served.
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
