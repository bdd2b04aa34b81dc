"""Putting back the locks and runtime files of a live daemon that were deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.store import liveness
from gigqd import logs
from gigqd.errors import GigqdError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logs.get_logger("gigqd.supervisor")

_EVERY = 5.0


class Repairs:
    """Puts back what was deleted, every few seconds, and logs it.

    Args:
        repairs: each puts back one kind of file and returns what it has put back.

    Attributes:
        at: when the next look is due, in seconds of the monotonic clock.
    """

    def __init__(self, *repairs: Callable[[], Iterable[str]]) -> None:
        self._repairs = (_renew_locks, *repairs)
        self.at = 0.0

    def turn(self, now: float) -> None:
        """Look, when it is due."""
        if now < self.at:
            return
        self.at = now + _EVERY
        repaired: list[str] = []
        for repair in self._repairs:
            try:
                repaired += repair()
            except (GigqdError, OSError) as error:
                log.error("repair_failed", error=str(error))
        if repaired:
            log.warning("files_repaired", files=repaired)


def _renew_locks() -> list[str]:
    return ["locks"] if liveness.renew() else []
