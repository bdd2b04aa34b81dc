"""What one worker thread holds: claims that it is going to run, and endings not settled yet."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from gigq.claim import Handover, Over
from gigq.pace import HELD_BACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gigq.claim import Claim, Settled
    from gigq.outcome import Ending

    SettledClaim = tuple[Claim, Settled | None, Over | None]

_STALE_AFTER = 0.1
"""Seconds after which a claim that has not begun is handed back: much may have happened since."""


class Hand:
    """The claims of one thread, from taking them to reporting what settling them did.

    Times are in seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self._ahead: deque[Claim] = deque()
        self._over: list[Over] = []
        self._news: list[SettledClaim] = []
        self._taken_at = 0.0
        self._first_over_at = 0.0

    def __len__(self) -> int:
        return len(self._ahead) + len(self._over)

    def let_go(self) -> Handover:
        """All that is held, to be let go of.

        What has not begun is not begun any more: even where the database reports trouble it may
        have taken the claims back, and others may run those jobs now.
        """
        self._taken_at = -math.inf
        return Handover(tuple(self._over), tuple(self._ahead))

    @property
    def endings(self) -> Handover:
        """Only what is over; the claims that have not begun are kept."""
        return Handover(tuple(self._over))

    def take(self, claims: Iterable[Claim], now: float) -> None:
        """Claims have been made, to be run in this order."""
        self._ahead.extend(claims)
        self._taken_at = now

    def next(self) -> Claim | None:
        """The claim to run next, taken out of the hand; None when there is none."""
        return self._ahead.popleft() if self._ahead else None

    def put_back(self, claim: Claim) -> None:
        """Hold a claim again that was taken out to be run, and was not begun."""
        self._ahead.appendleft(claim)

    def peek(self, now: float) -> Claim | None:
        """The claim to run next, if there is one that is fresh enough to be begun."""
        fresh = self._ahead and now - self._taken_at < _STALE_AFTER
        return self._ahead[0] if fresh else None

    def end(self, claim: Claim, ending: Ending, now: float, seconds: float = 0.0) -> None:
        """The function of a claim is over; it took so many seconds."""
        if not self._over:
            self._first_over_at = now
        self._over.append(Over(claim, ending, seconds))

    def is_overdue(self, now: float) -> bool:
        """Whether some ending has been held back for as long as it may be."""
        return bool(self._over) and now - self._first_over_at >= HELD_BACK

    def ending_of(self, execution_id: str) -> Ending | None:
        """The ending of an execution that is over and not settled."""
        found = (one.ending for one in self._over if one.claim.execution_id == execution_id)
        return next(found, None)

    def change(self, execution_id: str, ending: Ending) -> None:
        """Give an execution that is over another ending."""
        self._over = [
            one._replace(ending=ending) if one.claim.execution_id == execution_id else one
            for one in self._over
        ]

    def settled(self, handover: Handover, done: Sequence[Settled | None]) -> None:
        """What was handed over has been settled so; it is held no longer."""
        ended = len(handover.over)
        self._over = self._over[ended:]
        for _ in handover.unbegun:
            self._ahead.popleft()
        self._news += (
            (one.claim, settled, one)
            for one, settled in zip(handover.over, done[:ended], strict=True)
        )
        self._news += (
            (claim, settled, None)
            for claim, settled in zip(handover.unbegun, done[ended:], strict=True)
        )

    def news(self) -> list[SettledClaim]:
        """Return what was settled since the last call: claim, effect and how the job ended.

        The last of the three is None for a job that was not started.
        """
        news, self._news = self._news, []
        return news
