"""Answers about a job's limits from a plain worker: timeout, stop, and cancel request."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.store.database import Database
from gigq.store.verbs import exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.claim import Claim
    from gigq.store.handle import StoreHandle

_BETWEEN_LOOKS = 0.25


class PlainJobContext:
    """Answers the jobs of a worker, with at most four looks into the database a second.

    Args:
        store: the queue.
        is_stopping: returns True when the worker was told to stop.
    """

    def __init__(self, store: StoreHandle, is_stopping: Callable[[], bool] = lambda: False) -> None:
        # A job that asks is not kept waiting for a lock.
        self._database = Database(store.connect, lock_timeout=0.0)
        self._is_stopping = is_stopping
        self._cancelled = False
        self._next_look = 0.0

    def deadline(self, claim: Claim) -> float | None:
        """Return when the job's time is over, and forget what is known about the job before."""
        self._cancelled = False
        self._next_look = 0.0
        return None if claim.timeout is None else time.monotonic() + claim.timeout

    def stop_requested(self) -> bool:
        """Return True when the worker was told to stop."""
        return self._is_stopping()

    def cancel_requested(self, claim: Claim) -> bool:
        """Ask the database for a request; return its last answer when it cannot be asked now."""
        if not self._cancelled and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _BETWEEN_LOOKS
            with suppress(StoreError):
                self._cancelled = exchange.is_cancel_requested(self._database, claim.execution_id)
        return self._cancelled
