"""Text on a terminal, for both commands and the log: its width, cuts, and escapes."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import accumulate, takewhile
from unicodedata import combining, east_asian_width

_ID_SHOWN = 8


def columns(descriptor: int) -> int | None:
    """Return $COLUMNS, else the terminal's width in cells; None for a file or a pipe."""
    with suppress(KeyError, ValueError):
        if (given := int(os.environ["COLUMNS"])) > 0:
            return given
    with suppress(OSError):
        return os.get_terminal_size(descriptor).columns or None
    return None


def allows_colour() -> bool:
    """Return True when a terminal may show colours: NO_COLOR is not set (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(value: object, keep: str = "") -> str:
    """Return `value` as text, with every character that is not printable as an escape.

    A job's name or error may have terminal escapes or direction marks, which could repaint the
    screen or disguise other text.

    Args:
        value: a text with any characters, lone surrogates included, or any other value.
        keep: characters to keep although they are not printable, such as a line break.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def short_id(job_id: str) -> str:
    """Return the end of a job's id, in which ids differ most; commands accept it."""
    return job_id[-_ID_SHOWN:]


def cells(text: str) -> int:
    """Return the terminal cells of `text`: wide characters take two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Return `text` cut to `width` cells, the cut marked with dots."""
    if cells(text) <= width:
        return text
    taken = accumulate(map(_cells_of, text))
    return text[: sum(1 for _ in takewhile(lambda cells: cells <= width - 3, taken))] + "..."
