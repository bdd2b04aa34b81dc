"""Values as text in the answers of the command: times, numbers, fields with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model import clock
from gigq.model.units import format_duration
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_LINE = 1000
"""Maximum characters of a name and of a table's cell; only foreign SQL stores more."""

LONGEST_TEXT = 2 * 1024 * 1024
"""Maximum characters of a field such as an error, a stack or a parameter."""


def number(value: object, form: Callable[[float], str]) -> str:
    """Return a formatted number; other values are marks for unreadable ones, unchanged."""
    return form(value) if isinstance(value, int | float) else str(value)


def indented(value: object, margin: str) -> str:
    """Return `value` with its line breaks, each line made printable and indented."""
    lines = str(value).expandtabs().splitlines() or [""]
    return "\n".join(margin + printable(line) for line in lines)


def local_time(text: str | None) -> str:
    """Return a stored time in the local zone, to the second, with the zone; `-` without one."""
    if not text:
        return "-"
    try:
        return clock.parse(text).astimezone().isoformat(sep=" ", timespec="seconds")
    except (TypeError, ValueError, OverflowError):
        return printable(str(text))  # a mark for an unreadable value, or what another program wrote


def seconds(started: str | None, ended: str | None) -> str:
    """Return the seconds between two stored times; `-` when one is missing."""
    if not started or not ended:
        return "-"
    try:
        took = (clock.parse(ended) - clock.parse(started)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return "-"
    return format_duration(took)


def cut(value: object, most: int = LONGEST_LINE) -> str:
    """Return a text of at most `most` characters; a cut shows dots and the original length."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def fields(pairs: Iterable[tuple[str, object]], margin: str = "") -> str:
    """Return one `Label: value` line for each pair; a value of several lines goes below it."""
    return "\n".join(_field(label, value, margin) for label, value in pairs)


def _field(label: str, value: object, margin: str) -> str:
    shown = cut(value, LONGEST_TEXT)
    if "\n" in shown:
        return f"{margin}{label}:\n{indented(shown, margin + '  ')}"
    return f"{margin}{label}: {printable(shown)}"
