"""Recycling of workers: the limits after which a new worker replaces one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.jitter import random_between

if TYPE_CHECKING:
    from gigqd.config import PoolConfig

_SPREAD = 0.1
_NEVER = float("inf")


class RecyclingLimits:
    """The recycling limits of one worker: number of jobs, age and memory.

    Number and age vary by a tenth, so that a pool's workers do not all exit at once.

    Args:
        pool: the pool, which has the limits.
        now: the worker's start, in seconds of the monotonic clock.
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
        """Count a job that begins."""
        self._jobs_left -= 1

    def remaining(self, now: float) -> float:
        """Return the seconds until the worker is too old; infinity without a limit."""
        return max(0.0, self._until - now)

    def reached(self, now: float, memory: int) -> str:
        """Return the limit that is reached, "jobs", "age" or "memory"; empty for none.

        Args:
            now: the time, in seconds of the monotonic clock.
            memory: the memory of the worker itself, in bytes.
        """
        if self._jobs_left <= 0:
            return "jobs"
        if memory > self._most_memory:
            return "memory"
        return "age" if now >= self._until else ""


def _about_one() -> float:
    return random_between(1 - _SPREAD, 1 + _SPREAD)
