"""The claims of one worker thread: those to run, and those that ended and are not settled yet."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from gigq.execution.batch_sizing import HELD_BACK
from gigq.model.claim import Finished, SettleBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gigq.model.claim import Claim, Settled
    from gigq.model.outcome import ExecutionResult

    SettledClaim = tuple[Claim, Settled | None, Finished | None]

_STALE_AFTER = 0.1
"""Seconds after which a claim that has not started is released: much may have happened since."""


class HeldClaims:
    """The claims of one thread, from the claim until their settling is reported.

    Times are in seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self._waiting: deque[Claim] = deque()
        self._finished: list[Finished] = []
        self._settled: list[SettledClaim] = []
        self._claimed_at = 0.0
        self._first_finished_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._finished)

    def release(self) -> SettleBatch:
        """Return all held claims, to be settled or released.

        A claim that has not started is never started after this: even where the database reports
        an error it may have released the claims, and other workers may run those jobs now.
        """
        self._claimed_at = -math.inf
        return SettleBatch(tuple(self._finished), tuple(self._waiting))

    @property
    def finished(self) -> SettleBatch:
        """The finished claims alone; those that have not started are kept."""
        return SettleBatch(tuple(self._finished))

    def add(self, claims: Iterable[Claim], now: float) -> None:
        """Hold claims that were just made, to be run in this order."""
        self._waiting.extend(claims)
        self._claimed_at = now

    def next(self) -> Claim | None:
        """Take out the claim to run next; None when there is none."""
        return self._waiting.popleft() if self._waiting else None

    def put_back(self, claim: Claim) -> None:
        """Hold a claim again that was taken out and did not start."""
        self._waiting.appendleft(claim)

    def peek(self, now: float) -> Claim | None:
        """Return the claim to run next, if it is recent enough to be started."""
        fresh = self._waiting and now - self._claimed_at < _STALE_AFTER
        return self._waiting[0] if fresh else None

    def finish(
        self, claim: Claim, result: ExecutionResult, now: float, seconds: float = 0.0
    ) -> None:
        """Hold the result of a claim until it is settled; `seconds` is its duration."""
        if not self._finished:
            self._first_finished_at = now
        self._finished.append(Finished(claim, result, seconds))

    def is_overdue(self, now: float) -> bool:
        """Return True when a result has been held back for as long as it may be."""
        return bool(self._finished) and now - self._first_finished_at >= HELD_BACK

    def result_of(self, execution_id: str) -> ExecutionResult | None:
        """Return the result of a finished execution that is not settled yet."""
        found = (one.result for one in self._finished if one.claim.execution_id == execution_id)
        return next(found, None)

    def change(self, execution_id: str, result: ExecutionResult) -> None:
        """Give a finished execution another result."""
        self._finished = [
            one._replace(result=result) if one.claim.execution_id == execution_id else one
            for one in self._finished
        ]

    def note_settled(self, batch: SettleBatch, done: Sequence[Settled | None]) -> None:
        """Stop holding a batch; `done` says what settling each of its claims did."""
        ended = len(batch.finished)
        self._finished = self._finished[ended:]
        for _ in batch.released:
            self._waiting.popleft()
        self._settled += (
            (one.claim, settled, one)
            for one, settled in zip(batch.finished, done[:ended], strict=True)
        )
        self._settled += (
            (claim, settled, None)
            for claim, settled in zip(batch.released, done[ended:], strict=True)
        )

    def take_settled(self) -> list[SettledClaim]:
        """Return what was settled since the last call: claim, effect, and the finished claim.

        The last of the three is None for a claim that was released.
        """
        settled, self._settled = self._settled, []
        return settled
