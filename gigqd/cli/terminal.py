"""The one place where the command writes: answers to standard output, troubles to the other."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigq.strict_json import strict_json
from gigqd import exits
from gigqd.errors import GigqdError
from gigqd.logs.journal import leads_to_journal, with_priority
from gigqd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OutputFailed(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The answer cannot be written to standard output."""

    exit_code = exits.OUTPUT_FAILED


def say(text: str) -> None:
    """Write an answer. What a terminal would obey instead of show is escaped.

    Raises:
        OutputFailed: it cannot be written, because the disk is full for instance.
        BrokenPipeError: whoever read has stopped reading.
    """
    _answer(printable(text, keep="\n"))


def say_json(value: object) -> None:
    """Write an answer for programs: one line, ASCII only, in the JSON that `gigq --json` writes.

    Raises:
        as `say`.
    """
    _answer(strict_json(value, default=str))


def complain(text: str) -> None:
    """Write what went wrong; for the journal as an error."""
    shown = printable(text, keep="\n")
    with suppress(OSError):  # nobody to tell: the exit code has to do
        _write(2, with_priority(shown, "error") if leads_to_journal(2) else shown)


def width() -> int | None:
    """How wide a table may be: $COLUMNS, else the terminal's width; None for a file or a pipe."""
    with suppress(KeyError, ValueError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with suppress(OSError):
        return os.get_terminal_size(1).columns or None
    return None


@dataclass(frozen=True, slots=True)
class Fit:
    """How a table gives way when it is too wide.

    Attributes:
        elastic: titles of the columns whose texts may be cut, with the width that each keeps.
        droppable: titles of the columns that may be left out, the first to go last.
    """

    elastic: Mapping[str, int]
    droppable: tuple[str, ...] = ()


def table(rows: Sequence[Sequence[str]], most: int | None = None, fit: Fit | None = None) -> str:
    """Rows in aligned columns; the first row is the header.

    Args:
        rows: the rows.
        most: characters of a line at most, as far as `fit` allows; None for as many as there are.
        fit: what may be cut or left out.
    """
    columns = [[printable(cell) for cell in column] for column in zip(*rows, strict=True)]
    if most is not None and fit is not None:
        columns = _fitted(columns, most, fit)
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _fitted(columns: list[list[str]], most: int, fit: Fit) -> list[list[str]]:
    droppable = list(fit.droppable)
    while droppable and _least(columns, fit) > most:
        title = droppable.pop()
        columns = [column for column in columns if column[0] != title]
    room = max(most - _least(columns, fit), 0)
    fitted = []
    for column in columns:
        wide = _width(column)
        given = min(wide, fit.elastic.get(column[0], wide) + room)
        room -= max(given - fit.elastic.get(column[0], wide), 0)
        fitted.append([_shortened(cell, given) for cell in column])
    return fitted


def _least(columns: list[list[str]], fit: Fit) -> int:
    """The width of the narrowest table of these columns."""
    widths = [min(_width(column), fit.elastic.get(column[0], _width(column))) for column in columns]
    return sum(widths) + 2 * (len(columns) - 1)


def _width(column: Sequence[str]) -> int:
    return max(map(len, column))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _answer(text: str) -> None:
    try:
        _write(1, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(f"cannot write to standard output: {error.strerror}") from error


def _write(fd: int, text: str) -> None:
    """Write straight to the descriptor: no buffer of ours is left for a forked child to repeat."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    data = (text + "\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(fd, data) :]
