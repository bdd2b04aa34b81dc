"""The keeper's retention: finished jobs go in the background, in bites between its other duties."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigq import clock
from gigq.store.retention import FINISHED, Keep, Pruning

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.store.database import Database
    from gigqd.config import RetentionConfig

BREATH = 0.03
"""Seconds between two shares of a pass; the other duties have their turn there."""

_SHARE = 0.03
_SOON = 10.0
_LATE = 600.0


class Retention:
    """Makes a pass over the finished jobs soon after something was written, and now and then.

    Args:
        database: the database.
        config: what is kept of each status.
        tell: sends a message to the supervisor.
    """

    def __init__(
        self,
        database: Database,
        config: RetentionConfig,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._database = database
        self._config = config
        self._tell = tell
        self._next_at = time.monotonic() + _SOON
        self.begin()

    def begin(self) -> None:
        """Take nothing for granted: a pass that was begun is given up."""
        self._pruning: Pruning | None = None
        self._has_changed = True

    @property
    def is_at_work(self) -> bool:
        """Whether a pass is not at its end."""
        return self._pruning is not None

    def go(self, *, changed: bool) -> None:
        """Do a share of a pass, if one is due.

        Args:
            changed: somebody has written since the last turn.

        Raises:
            StoreError: the database cannot be used.
        """
        self._has_changed = self._has_changed or changed
        if self._pruning is None and not self._is_due():
            return
        if self._pruning is None:
            self._pruning, self._has_changed = Pruning(self._database, self._policy()), False
            self._began = time.monotonic()
        until = time.monotonic() + _SHARE
        while self._pruning.bite():
            if time.monotonic() >= until:
                return
        self._end(self._pruning)

    def _is_due(self) -> bool:
        late = 0.0 if self._has_changed else _LATE - _SOON
        return time.monotonic() >= self._next_at + late

    def _policy(self) -> dict[str, Keep]:
        now = clock.utc_now()
        kept = {status: self._config.of(status) for status in FINISHED}
        return {
            status: Keep(clock.after(now, -age) if age else None, most or None)
            for status, (age, most) in kept.items()
            if age or most
        }

    def _end(self, pruning: Pruning) -> None:
        now = time.monotonic()
        if any(pruning.pruned.values()):
            self._tell({"pruned": pruning.pruned, "seconds": round(now - self._began, 3)})
        self._pruning, self._next_at = None, now + _SOON
