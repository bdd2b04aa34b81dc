"""The only reader of the calendar clock. Times are UTC text of a fixed width.

Such texts sort like the times, so the store compares them as text.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STORED_WIDTH = len("2026-11-23T19:09:12.123456+00:00")
_SIGNS = re.compile(r"....-..-..T..:..:..[.]......[+]00:00")
_UP_TO_SECONDS = len("2026-11-23T19:09:12")
_second: tuple[int, str] = (-1, "")


def utc_now() -> str:
    """Return the time now, as `2026-11-23T19:09:12.123456+00:00`."""
    global _second  # noqa: PLW0603 - of many calls in one second, one formats it
    second, rest = divmod(time.time_ns(), 1_000_000_000)
    known, text = _second
    if known != second:
        text = datetime.fromtimestamp(second, UTC).isoformat()[:_UP_TO_SECONDS]
        _second = second, text
    return f"{text}.{rest // 1000:06d}+00:00"


def seconds_since(time_ns: int) -> float:
    """Return the seconds since a time in nanoseconds since 1970; below 0 for a later time."""
    return (time.time_ns() - time_ns) / 1e9


def was_set_back(since: str, now: str, by: float) -> bool:
    """Return True when a clock was set back by so many seconds or more since it showed a time.

    A smaller difference may come from two transactions, of which the second has begun first.
    """
    return since > after(now, by)


def to_text(moment: datetime) -> str:
    """Return `moment` as stored text. A moment without a zone is local time."""
    return in_utc(moment).isoformat(timespec="microseconds")


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC. One without a zone is local time.

    A local time that comes twice is the first one. One that a change of the local clock skips is as
    much later: nothing may start before the time that was written.
    """
    found = moment.astimezone(UTC)
    if moment.tzinfo is None and found.astimezone().replace(tzinfo=None) != moment:
        return max(found, moment.replace(fold=1).astimezone(UTC))
    return found


def parse(text: str) -> datetime:
    """Return the UTC moment of an ISO 8601 text.

    A text without a zone is local time: GigQ 0.5.1 wrote and compared such texts.

    Raises:
        ValueError: `text` is not an ISO 8601 date and time.
    """
    return in_utc(datetime.fromisoformat(text))


def is_stored_form(text: str) -> bool:
    """Return True when a time is written as `utc_now` writes it.

    Raises:
        TypeError: it is not text.
        ValueError: it is not an ISO 8601 time.
    """
    datetime.fromisoformat(text)
    # Other ISO 8601 forms of this width have other characters in these positions.
    return len(text) == _STORED_WIDTH and _SIGNS.fullmatch(text) is not None


def is_time(text: object) -> bool:
    """Return True when a stored value is a time. Other programs may have written something else."""
    try:
        parse(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def to_seconds(text: str) -> str:
    """Return a stored time without the fraction of its second, for messages."""
    return parse(text).isoformat(sep=" ", timespec="seconds")


def normalise(text: str) -> str:
    """Return an ISO 8601 text as stored text, which can be compared with stored times."""
    return to_text(parse(text))


def after(text: str, seconds: float) -> str:
    """Return the stored text of the moment `seconds` after `text`, within the years 1 to 9999."""
    try:
        return to_text(parse(text) + timedelta(seconds=seconds))
    except OverflowError:
        if seconds < 0:
            return to_text(datetime.min.replace(tzinfo=UTC))
        return to_text(datetime.max.replace(tzinfo=UTC))


def seconds_until(text: str | None, longest: float, now: Callable[[], str] = utc_now) -> float:
    """Return the seconds until a stored time, from 0 to `longest`; None counts as `longest`.

    Args:
        text: the time.
        longest: maximum seconds.
        now: returns the time now; by default that of this host.
    """
    if text is None:
        return longest
    left = parse(text) - parse(now())
    return min(max(left.total_seconds(), 0.0), longest)
