"""Rollback of transactions that an application's code leaves open on its worker's connection.

The outcome of a job would be written inside such a transaction. It would be lost with it, and the
job would run again. Settings that a job leaves on a session of a server are undone, too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gigq import events
from gigq.execution.job_events import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.claim import Claim
    from gigq.store.backend import StoreHandle


class OpenTransactions:
    """The transactions that are left open on the connection of one worker thread.

    Args:
        store: the queue.
        logger: the logger that gets the event.

    Attributes:
        is_touched: returns True when the last job may have left the connection changed.
        last_claim: the last job that has run.
    """

    def __init__(self, store: StoreHandle, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._is_around = False
        self._in_loop = False
        self.is_touched: Callable[[], bool] = bool
        self.last_claim: Claim | None = None

    def begin(self, *, in_loop: bool) -> None:
        """Note whether the application has called the worker inside a transaction of its own.

        Args:
            in_loop: True in the loop of a worker, around which there is none.
        """
        self._in_loop = in_loop
        self._is_around = not in_loop and self._store.is_in_transaction()

    def look_at_connection(self) -> None:
        """Note the connection of this thread, on which the next jobs may leave a transaction."""
        self.is_touched = self._store.touch_check()

    def end_of_job(self, claim: Claim) -> None:
        """Roll back a transaction that a job has left, and restore the settings of the session.

        Outside a loop the settings may be the caller's.
        """
        self.end("job", claim)
        if self._in_loop:
            self._store.restore()

    def end_of_batch(self) -> None:
        """Roll back a transaction that a job has left on a new connection of this thread.

        The event names the last job, which need not be the one.
        """
        self.end("job", self.last_claim)

    def end(self, left_by: str, claim: Claim | None = None) -> None:
        """Roll back a transaction that was opened since `begin`.

        Args:
            left_by: the code that ran: a job, a hook or a subscriber of events.
            claim: the job.
        """
        if self._is_around or not self._store.is_in_transaction():
            return
        self._store.roll_back()
        events.emit(
            events.TRANSACTION_ROLLED_BACK,
            level=logging.WARNING,
            source=self._logger,
            left_by=left_by,
            **(fields_of(claim) if claim else {}),
        )
