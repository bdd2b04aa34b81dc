"""`Retry`: the delays between the attempts of a job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gigq.model import codec, jitter
from gigq.model.delay import number_between, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta


class Retry:
    """Delays that grow with each attempt, up to a limit.

    The delay after attempt n is `first * factor ** (n - 1)`, at most `longest`, and varies at
    random by `jitter`. Durations are seconds, a string such as "10m", or a `timedelta`.

    Args:
        first: the delay after the first attempt.
        factor: the factor between a delay and the next one, at least 1.
        longest: the maximum delay, also with `jitter`.
        jitter: the fraction by which a delay varies, from 0 to 1: 0.2 is up to 20 % less or more.

    Attributes:
        first: in seconds.
        factor: as given.
        longest: in seconds.
        jitter: as given.

    Raises:
        ValueError: a value is not allowed; the message names it.
    """

    __slots__ = ("factor", "first", "jitter", "longest")

    def __init__(
        self,
        first: float | str | timedelta = 5,
        factor: float = 2,
        longest: float | str | timedelta = "1h",
        jitter: float = 0.2,
    ) -> None:
        self.first = seconds_of("first", first)
        self.factor = number_between("factor", factor, 1, math.inf)
        self.longest = seconds_of("longest", longest)
        self.jitter = number_between("jitter", jitter, 0, 1)
        if self.first > self.longest:
            raise ValueError(
                f"first is {codec.short(first)}, longer than longest ({codec.short(longest)})"
            )

    def delay(
        self, attempt: int, random: Callable[[float, float], float] = jitter.random_between
    ) -> float:
        """Return the delay after an attempt.

        Args:
            attempt: the number of the attempt that has ended, from 1.
            random: returns a random number between two others.

        Returns:
            The seconds from the end of the attempt to the next one.
        """
        try:
            mean = min(self.first * self.factor ** (max(attempt, 1) - 1), self.longest)
        except OverflowError:
            mean = self.longest if self.first else 0.0
        # The range is cut, not the result: at the longest delay jobs must not meet again.
        return random(mean * (1 - self.jitter), min(mean * (1 + self.jitter), self.longest))

    def __eq__(self, other: object) -> bool:
        """Compare the values."""
        return type(other) is Retry and other._values() == self._values()

    def __hash__(self) -> int:
        """Return a hash of the values."""
        return hash(self._values())

    def __repr__(self) -> str:
        """Return the class and its values in seconds."""
        names = ("first", "factor", "longest", "jitter")
        return f"Retry({', '.join(f'{name}={getattr(self, name):g}' for name in names)})"

    def _values(self) -> tuple[float, ...]:
        return self.first, self.factor, self.longest, self.jitter
