"""Exchanges of one worker thread with the store, also when the connection is lost during a commit.

Then a transaction may have taken effect although the store has reported an error. The next exchange
releases what it may have claimed, since no job of it was started, and settles its batch again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from gigq.errors import StoreUnavailable
from gigq.model.claim import ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import settle_and_claim, unconfirmed

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.claim import Claimant, Settled
    from gigq.store.database import Database, Row

_PAUSE = 0.5
_Value = TypeVar("_Value")


class Exchanges:
    """The exchanges of one worker thread.

    Attributes:
        last_took: the duration in seconds of the last one that released nothing; a release takes
            longer than the rest.
    """

    def __init__(self) -> None:
        self.last_took = 0.0
        self._claimed: str | None = None
        self._is_unsettled = False

    def exchange(
        self,
        db: Database,
        batch: SettleBatch,
        claimant: Claimant | None = None,
        request: ClaimRequest | None = None,
    ) -> settle_and_claim.Exchanged:
        """Settle or release a batch and claim due jobs, as `settle_and_claim.exchange`.

        A batch that was not settled, because the database reported an error, must be given again.
        """
        self.release_unconfirmed(db)
        is_repeated, self._is_unsettled = self._is_unsettled, self._is_unsettled or bool(batch)
        self._claimed = request.first_id if request else None
        began = time.monotonic()
        done = settle_and_claim.exchange(db, batch, claimant, request)
        if not batch.released:
            self.last_took = time.monotonic() - began
        self._claimed = None
        self._is_unsettled = is_repeated and not batch
        return done._replace(settled=_recorded(db, batch, done.settled)) if is_repeated else done

    def claim(self, db: Database, claimant: Claimant) -> Row | None:
        """Claim the best due job, as `settle_and_claim.claim`."""
        rows = self.exchange(db, SettleBatch(), claimant, ClaimRequest(new_id())).claimed
        return rows[0] if rows else None

    def adopt(self, db: Database, job_id: str, execution_id: str, claimant: Claimant) -> Row | None:
        """Take over a claim that foreign SQL made, as `settle_and_claim.adopt`.

        `release_unconfirmed` must have been called before the foreign SQL.
        """
        self._claimed = execution_id
        row = settle_and_claim.adopt(db, job_id, execution_id, claimant)
        self._claimed = None
        return row

    def release_unconfirmed(self, db: Database) -> None:
        """Release what an earlier exchange may have claimed."""
        if self._claimed is not None:
            unconfirmed.release(db, self._claimed)


def patiently(read: Callable[[], _Value], patience: float) -> _Value:
    """Read from the store, again and again for so many seconds while it is unavailable."""
    until = time.monotonic() + patience
    while True:
        try:
            return read()
        except StoreUnavailable:
            if time.monotonic() >= until:
                raise
        time.sleep(_PAUSE)


def _recorded(
    db: Database, batch: SettleBatch, settled: list[Settled | None]
) -> list[Settled | None]:
    """Return the effects of a batch of which an earlier transaction may have settled some."""
    again: list[Any] = [*batch.finished, *(None for _ in batch.released)]
    return [
        unconfirmed.recorded(db, one) if done is None and one is not None else done
        for done, one in zip(settled, again, strict=True)
    ]
