"""Waiting for conditions instead of sleeping for time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SHORTEST, _LONGEST = 0.01, 0.1
_LONGER = 1.2


def wait_until(
    condition: Callable[[], T], deadline: float = 30.0, *, why: str | Callable[[], str] = ""
) -> T:
    """The first true value of a condition.

    Args:
        condition: called after 10 ms, and then less and less often, down to every 100 ms.
        deadline: how long to wait, in seconds.
        why: what is waited for, or a hint for the reader of the failure; or returns it.

    Raises:
        AssertionError: it never became true; the last value is in the message.
    """
    end = time.monotonic() + deadline
    step = _SHORTEST
    while not (value := condition()):
        if time.monotonic() > end:
            what = why() if callable(why) else why
            raise AssertionError(f"not within {deadline} s: {what or condition}; last: {value!r}")
        time.sleep(step)
        step = min(step * _LONGER, _LONGEST)
    return value
