"""What a plain worker can tell its job: the timeout, its own stop, a cancel in the database."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.store import claims
from gigq.store.database import Database

if TYPE_CHECKING:
    from gigq.claim import Claim
    from gigq.worker import Worker

_BETWEEN_LOOKS = 0.25


class PlainSurroundings:
    """Answers one job of a plain worker, with at most four looks into the database a second."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        # A job that asks is not kept waiting for a lock.
        self._database = Database(worker._get_connection, lock_timeout=0.0)
        self._cancelled = False
        self._next_look = 0.0

    def deadline(self, claim: Claim) -> float | None:
        """When the timer strikes, or the job is recorded as one that overruns."""
        return None if claim.timeout is None else time.monotonic() + claim.timeout

    def stop_requested(self) -> bool:
        """Whether the worker that `start` set going was told to stop."""
        return self._worker._is_stopping

    def cancel_requested(self, claim: Claim) -> bool:
        """Whether the database has a request; what it said last when it cannot be asked now."""
        if not self._cancelled and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _BETWEEN_LOOKS
            with suppress(StoreError):
                self._cancelled = claims.is_cancel_requested(self._database, claim.execution_id)
        return self._cancelled
