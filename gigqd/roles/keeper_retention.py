"""The keeper's retention: finished jobs go in the background, and the room that they took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigq import clock
from gigq.store.retention import FINISHED, Keep, Pruning
from gigq.store.vacuum import Vacuum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigq.store.database import Database
    from gigqd.config import RetentionConfig

BREATH = 0.03
"""Seconds between two shares of a pass; the other duties have their turn there."""

_SHARE = 0.03
_SOON = 10.0
_LATE = 600.0


class Retention:
    """Makes a pass over the finished jobs soon after something was written, and now and then.

    It is made in bites, between the keeper's other duties.

    Args:
        database: the database.
        config: what is kept of each status.
        tell: sends a message to the supervisor.
        shrinks: told how long, in bytes, the file is going to be at least, before it gets shorter.
    """

    def __init__(
        self,
        database: Database,
        config: RetentionConfig,
        tell: Callable[[dict[str, Any]], None],
        shrinks: Callable[[int], None],
    ) -> None:
        self._database = database
        self._config = config
        self._tell = tell
        self._shrinks = shrinks
        self._next_at = time.monotonic() + _SOON
        self.begin()

    def begin(self) -> None:
        """Take nothing for granted: a pass that was begun is given up."""
        self._pass: Iterator[None] | None = None
        self._has_changed = True

    @property
    def is_at_work(self) -> bool:
        """Whether a pass is not at its end."""
        return self._pass is not None

    def go(self, *, changed: bool) -> None:
        """Do a share of a pass, if one is due.

        Args:
            changed: somebody has written since the last turn.

        Raises:
            StoreError: the database cannot be used.
        """
        self._has_changed = self._has_changed or changed
        if self._pass is None and not self._is_due():
            return
        if self._pass is None:
            self._pass, self._has_changed = self._bites(), False
        until = time.monotonic() + _SHARE
        for _ in self._pass:
            if time.monotonic() >= until:
                return
        self._pass, self._next_at = None, time.monotonic() + _SOON

    def _is_due(self) -> bool:
        late = 0.0 if self._has_changed else _LATE - _SOON
        return time.monotonic() >= self._next_at + late

    def _bites(self) -> Iterator[None]:
        """A whole pass, step by step."""
        pruning, began = Pruning(self._database, self._policy()), time.monotonic()
        while pruning.bite():
            yield
        if any(pruning.pruned.values()):
            seconds = round(time.monotonic() - began, 3)
            self._tell({"pruned": pruning.pruned, "seconds": seconds})
        vacuum = Vacuum(self._database)
        while vacuum.bite():
            self._shrinks(vacuum.size)
            yield

    def _policy(self) -> dict[str, Keep]:
        now = clock.utc_now()
        kept = {status: self._config.of(status) for status in FINISHED}
        return {
            status: Keep(clock.after(now, -age) if age else None, most or None)
            for status, (age, most) in kept.items()
            if age or most
        }
