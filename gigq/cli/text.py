"""Pure functions that format values for the command's output: times, fields, tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, NamedTuple

from gigq.model import clock
from gigq.model.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Paint = Callable[[str, str], str]

NARROWEST = 12
"""Minimum width of an elastic column in terminal cells."""

LONGEST_LINE = 1000
"""Maximum characters of a name and of a table's cell; only foreign SQL stores more."""

LONGEST_TEXT = 2 * 1024 * 1024
"""Maximum characters of a field such as an error, a stack or a parameter."""

COLOURS = {
    "running": "36",
    "completed": "32",
    "failed": "31",
    "timeout": "31",
    "cancelled": "33",
}


def printable(value: object) -> str:
    """Return `value` on one line, with every control character as an escape.

    A job's name or error may hold terminal escapes or direction marks, which could repaint the
    screen or disguise other text.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def flowing(text: str) -> str:
    """Return a text with its line breaks and tabs, and other control characters as escapes."""
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


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
    except (ValueError, OverflowError):
        return text  # a mark for an unreadable value


def seconds(started: str | None, ended: str | None) -> str:
    """Return the seconds between two stored times; `-` when one is missing."""
    if not started or not ended:
        return "-"
    try:
        took = (clock.parse(ended) - clock.parse(started)).total_seconds()
    except (ValueError, OverflowError):
        return "-"
    return format_duration(took)


def cells(text: str) -> int:
    """Return the terminal cells of `text`: wide characters take two, combining marks none."""
    return sum(_cells_of(c) for c in text)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Return `text` cut to `width` cells, the cut marked with dots."""
    if cells(text) <= width:
        return text
    taken = accumulate(map(_cells_of, text))
    return text[: sum(1 for _ in takewhile(lambda cells: cells <= width - 3, taken))] + "..."


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


class Fit(NamedTuple):
    """The rules by which a table fits a narrow terminal.

    Attributes:
        width: the terminal's width in cells.
        elastic: titles of the columns whose texts may be cut, with the cells that each keeps.
        droppable: titles of the columns that may be left out, the last one first.
    """

    width: int
    elastic: Mapping[str, int]
    droppable: tuple[str, ...] = ()


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    fit: Fit | None = None,
    paint: Paint | None = None,
    boxed: bool = True,
) -> str:
    """Return a table in ASCII.

    Args:
        titles: the column titles.
        rows: one value for each title.
        fit: the rules for a narrow terminal; None to cut nothing.
        paint: gets a column's title and a padded text, and returns the text in colour.
        boxed: draws lines around the cells; without them two spaces separate the columns.
    """
    columns = {title: [printable(cut(row[i])) for row in rows] for i, title in enumerate(titles)}
    if fit:
        columns = _fitted(columns, fit, boxed=boxed)
    widths = {title: _width(title, texts) for title, texts in columns.items()}
    head = [_padded(title, width) for title, width in widths.items()]
    body = [
        [_cell(title, columns[title][i], width, paint) for title, width in widths.items()]
        for i in range(len(rows))
    ]
    if not boxed:
        return "\n".join("  ".join(cells).rstrip() for cells in (head, *body))
    rule = "+" + "+".join("-" * (width + 2) for width in widths.values()) + "+"
    return "\n".join([rule, _line(head), rule, *map(_line, body), rule])


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _cell(title: str, text: str, width: int, paint: Paint | None) -> str:
    padded = _padded(text, width)
    return paint(title, padded) if paint else padded


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _width(title: str, texts: Iterable[str]) -> int:
    return max([cells(title), *map(cells, texts)])


def _fitted(columns: dict[str, list[str]], fit: Fit, *, boxed: bool) -> dict[str, list[str]]:
    columns, droppable = dict(columns), list(fit.droppable)
    while (room := _room(columns, fit, boxed=boxed)) < 0 and droppable:
        columns.pop(droppable.pop(), None)
    for title, least in fit.elastic.items():
        wanted = _width(title, columns[title])
        given = min(wanted, least + max(room, 0))
        room -= max(given - least, 0)
        columns[title] = [shorten(text, given) for text in columns[title]]
    return columns


def _room(columns: dict[str, list[str]], fit: Fit, *, boxed: bool) -> int:
    """Return the cells that are left when every elastic column has its minimum width."""
    widths = {title: _width(title, texts) for title, texts in columns.items()}
    least = sum(min(width, fit.elastic.get(title, width)) for title, width in widths.items())
    between = 3 * len(columns) + 1 if boxed else 2 * (len(columns) - 1)
    return fit.width - least - between


def painted_status(title: str, text: str) -> str:
    """Return a text of the `Status` column in colour, for `table`."""
    colour = COLOURS.get(text.strip()) if title == "Status" else None
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text
