"""How long jobs take, and so how many of them may travel together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.claim import Claim

HELD_BACK = 0.006
"""For how many seconds an outcome may wait for those of others."""

_TOGETHER = 0.004
_SHORT = 0.001
_WEIGHT = 0.1
_GROWTH = 2
_MOST_OF_THE_MEAN = 8
"""How many times the known mean a run counts at most in which other processes had the processor."""

_MOST_FUNCTIONS = 1000


class Pace:
    """Learns from every run how long functions take. Times are in seconds.

    Args:
        most: how many jobs may travel together at most; 1 for always one at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._grown = 0
        self._mean = _TOGETHER
        self._of_function: dict[tuple[str, str], float] = {}

    def size(self) -> int:
        """How many jobs to claim now: twice as many as last time, while they are short."""
        fitting = max(1, min(self._most, int(_TOGETHER / self._mean)))
        self._grown = min(self._grown * _GROWTH or 1, fitting)
        return self._grown

    def rest(self) -> None:
        """Nothing was due: what comes next comes alone, as far as anybody knows."""
        self._grown = 0

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a job is known to be short, by its row."""
        mean = self._of_function.get((row["function_module"], row["function_name"]))
        return mean is not None and mean <= _SHORT

    def is_short(self, claim: Claim) -> bool:
        """The same, by its claim."""
        mean = self._of_function.get((claim.function.module, claim.function.name))
        return mean is not None and mean <= _SHORT

    def ran(self, claim: Claim, seconds: float, *, preempted: bool = False) -> None:
        """Learn from one run.

        Args:
            claim: the job.
            seconds: how long it has run.
            preempted: whether the kernel has taken the processor away during it, for another
                process or because of a quota. What that adds says nothing about the function.
        """
        if self._most == 1:
            return
        key = (claim.function.module, claim.function.name)
        known = self._of_function.get(key)
        if preempted:
            seconds = min(seconds, _MOST_OF_THE_MEAN * (self._mean if known is None else known))
        self._mean += _WEIGHT * (seconds - self._mean)
        if known is None and len(self._of_function) >= _MOST_FUNCTIONS:
            self._of_function.clear()
        self._of_function[key] = seconds if known is None else known + _WEIGHT * (seconds - known)
