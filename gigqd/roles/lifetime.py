"""How long one worker works before a fresh one takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.jitter import random_between

if TYPE_CHECKING:
    from gigqd.config import PoolConfig

_SPREAD = 0.1
_NEVER = float("inf")


class Lifetime:
    """Ends after a number of jobs, at an age, or when the worker has become too large.

    Number and age are spread by a tenth, so that a pool's workers do not all leave at once.

    Args:
        pool: the pool, which says when.
        now: the time of the worker's birth, in seconds of the monotonic clock.
    """

    def __init__(self, pool: PoolConfig, now: float) -> None:
        self._jobs_left = _NEVER
        if pool.recycle_after_jobs:
            self._jobs_left = max(1, round(pool.recycle_after_jobs * _about_one()))
        self._until = _NEVER
        if pool.recycle_after_age:
            self._until = now + pool.recycle_after_age * _about_one()
        self._most_memory = pool.recycle_above_memory or _NEVER

    def job_began(self) -> None:
        """Another job is run."""
        self._jobs_left -= 1

    def remaining(self, now: float) -> float:
        """Seconds until the worker is too old; infinity for never."""
        return max(0.0, self._until - now)

    def why_over(self, now: float, memory: int) -> str:
        """Why it is over: "jobs", "age" or "memory"; empty while it is not.

        Args:
            now: the time, in seconds of the monotonic clock.
            memory: what the worker itself uses, in bytes.
        """
        if self._jobs_left <= 0:
            return "jobs"
        if memory > self._most_memory:
            return "memory"
        return "age" if now >= self._until else ""


def _about_one() -> float:
    return random_between(1 - _SPREAD, 1 + _SPREAD)
