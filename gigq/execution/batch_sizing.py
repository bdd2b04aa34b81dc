"""How long jobs take, and so how many of them may travel together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.execution import preemption

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigq.model.claim import Claim

HELD_BACK = 0.006
"""For how many seconds an outcome may wait for those of others."""

_TOGETHER = 0.004
_SHORT = 0.001
_WEIGHT = 0.1
_GROWTH = 2
_MOST_OF_THE_MEAN = 8
"""How many times the known mean a run counts at most in which other processes had the processor."""

_MOST_FUNCTIONS = 1000


class BatchSizing:
    """Learns from every run how long functions take. Times are in seconds.

    Args:
        most: how many jobs may travel together at most; 1 for always one at a time.
        preemptions: counts how often the kernel has taken the processor away from the thread.
    """

    def __init__(self, most: int, preemptions: Callable[[], int] = preemption.count) -> None:
        self._most = most
        self._preemptions = preemptions
        self._preempted_before = preemptions()
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

    def ran(self, claim: Claim, seconds: float) -> None:
        """Learn from one run, and not from what preemption has added to it.

        Args:
            claim: the job.
            seconds: how long it has run.
        """
        if self._most == 1:
            return
        key = (claim.function.module, claim.function.name)
        known = self._of_function.get(key)
        most = _MOST_OF_THE_MEAN * (self._mean if known is None else known)
        if seconds > most and self._was_preempted():
            seconds = most
        self._mean += _WEIGHT * (seconds - self._mean)
        if known is None and len(self._of_function) >= _MOST_FUNCTIONS:
            self._of_function.clear()
        self._of_function[key] = seconds if known is None else known + _WEIGHT * (seconds - known)

    def _was_preempted(self) -> bool:
        """Return whether the processor was taken away since the last look; a look costs 0.6 us."""
        before, self._preempted_before = self._preempted_before, self._preemptions()
        return self._preempted_before != before
