"""Limits of a job, of the job itself and of its pool."""

from __future__ import annotations


def stricter(one: float | None, other: float | None) -> float | None:
    """Return the smaller of two limits; None when there is none."""
    # Called twice for each job: `min` over a generator takes five times as long.
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
