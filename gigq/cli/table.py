"""Tables in ASCII that fit the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gigq.cli.formatting import cut
from gigq.terminal import cells, printable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Paint = Callable[[str, str], str]

NARROWEST = 12
"""Minimum width of an elastic column in terminal cells."""

COLOURS = {
    "running": "36",
    "completed": "32",
    "failed": "31",
    "timeout": "31",
    "cancelled": "33",
}


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
        return "\n".join("  ".join(line).rstrip() for line in (head, *body))
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
