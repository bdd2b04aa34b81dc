"""How long an idle worker waits until it looks for work again, if nothing wakes it."""

from __future__ import annotations

import math
import time

SOON = 0.1
"""Seconds after a job: as DEBOUNCE of the notifications, which a daemon on a file does not load."""

_LONGEST = 30.0
_LONGEST_ON_SERVER = 300.0  # the recorder looks for all workers
_SHORTEST = 0.005


class IdleWait:
    """The longest wait of one worker.

    On a server there is one notification in 0.1 s at most, and the next job often follows soon. So
    a worker that has just run a job looks again after 5, 10, 20, 40, 80 and 160 ms.

    Args:
        on_server: whether the database is on a server.
    """

    def __init__(self, *, on_server: bool) -> None:
        self._on_server = on_server
        self._ended_at = -math.inf

    def longest(self, ran: int) -> float:
        """Return the seconds to wait at most, after so many jobs ran since the last wait."""
        if not self._on_server:
            return _LONGEST
        now = time.monotonic()
        if ran:
            self._ended_at = now
        since = now - self._ended_at
        return max(since, _SHORTEST) if since <= SOON else _LONGEST_ON_SERVER
