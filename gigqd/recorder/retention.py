"""Retention in the recorder: delete finished jobs in the background, and return their space."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigq.model import clock
from gigq.store.verbs.prune import FINISHED, Keep, Pruning
from gigqd.time_slice import advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigqd.config import RetentionConfig
    from gigqd.recorder.storage import Storage

PAUSE = 0.03
"""Seconds between two parts of a pass, in which the recorder does its other work."""

_SHARE = 0.03
_SOON = 10.0
_LATE = 600.0


class Retention:
    """Passes over the finished jobs: after writes, but 10 s apart, and every 10 minutes.

    A pass runs in batches, between the recorder's other work.

    Args:
        storage: the database.
        config: the limits for each status.
        report: sends a message to the supervisor.
    """

    def __init__(
        self,
        storage: Storage,
        config: RetentionConfig,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._storage = storage
        self._config = config
        self._report = report
        self._next_at = time.monotonic() + _SOON
        self.begin()

    def begin(self) -> None:
        """Start anew: abandon a pass that was begun."""
        self._pass: Iterator[None] | None = None
        self._has_changed = True

    @property
    def is_at_work(self) -> bool:
        """True during a pass."""
        return self._pass is not None

    def run_due(self, *, changed: bool) -> None:
        """Run a part of a pass, if one is due.

        Args:
            changed: True when a process has written since the last call.

        Raises:
            StoreError: the database cannot be used.
        """
        self._has_changed = self._has_changed or changed
        if self._pass is None and not self._is_due():
            return
        if self._pass is None:
            self._pass, self._has_changed = self._batches(), False
        if advance(self._pass, _SHARE):
            self._pass, self._next_at = None, time.monotonic() + _SOON

    def _is_due(self) -> bool:
        late = 0.0 if self._has_changed else _LATE - _SOON
        return time.monotonic() >= self._next_at + late

    def _batches(self) -> Iterator[None]:
        """Run a whole pass, batch by batch."""
        pruning, began = Pruning(self._storage.database, self._policy()), time.monotonic()
        while pruning.batch():
            yield
        if any(pruning.pruned.values()):
            seconds = round(time.monotonic() - began, 3)
            self._report({"pruned": pruning.pruned, "seconds": seconds})
        yield from self._storage.give_back_space()

    def _policy(self) -> dict[str, Keep]:
        now = self._storage.now()
        kept = {status: self._config.of(status) for status in FINISHED}
        return {
            status: Keep(clock.after(now, -age) if age else None, most or None)
            for status, (age, most) in kept.items()
            if age or most
        }
