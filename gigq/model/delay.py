"""A delay as users give it: a number of seconds, a text such as "10m", or a `timedelta`."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from typing import Any

from gigq.model import codec, units

Delay = float | str | timedelta

LONGEST_DELAY = 10 * 365 * units.DAY
"""Maximum delay, in seconds."""


def seconds_of(what: str, value: Any) -> float:
    """Return the seconds of a delay.

    Args:
        what: its name in messages.
        value: the delay; at most ten years.

    Raises:
        ValueError: it is no such value.
    """
    if isinstance(value, str):
        try:
            value = units.parse_duration(value, bare=1.0)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
    elif isinstance(value, timedelta):
        value = value.total_seconds()
    return number_between(what, value, 0, LONGEST_DELAY, ", '10m' or a timedelta")


def number_between(what: str, value: Any, low: float, high: float, or_else: str = "") -> float:
    """Return a number as a float.

    Args:
        what: its name in messages.
        value: the number.
        low: the minimum.
        high: the maximum; it may be infinite.
        or_else: the other allowed values, for the message.

    Raises:
        ValueError: it is no number between both.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= min(high, sys.float_info.max):
        most = "" if math.isinf(high) else f" to {high:,.0f}"
        raise ValueError(f"{what} is {codec.short(value)}; give a number from {low}{most}{or_else}")
    return float(value)
