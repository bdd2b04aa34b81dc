"""Waiting for conditions instead of sleeping for time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_STEP = 0.02


def wait_until(condition: Callable[[], T], deadline: float = 15.0, *, why: str = "") -> T:
    """The first true value of a condition.

    Args:
        condition: called every 20 ms.
        deadline: how long to wait, in seconds.
        why: what is waited for, or a hint for the reader of the failure.

    Raises:
        AssertionError: it never became true; the last value is in the message.
    """
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {why or condition}; last: {value!r}")
        time.sleep(_STEP)
    return value
