"""Pieces of Markdown that the generated pages share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]


def page(title: str, source: str, *parts: str) -> str:
    """Return a page: its title, a note about its source, and its parts.

    Args:
        title: the heading.
        source: what the page is generated from, for those who want to change it.
        parts: blocks of Markdown.
    """
    note = f"<!-- Generated from {source} by `make reference`; changes here are lost. -->"
    return "\n\n".join([f"# {title}", note, *filter(None, parts)]) + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Return a table; a `|` in a cell is escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code_block(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


def one_line(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def anchor(heading: str) -> str:
    """Return a heading's anchor, as the site and the hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _cell(value: object) -> str:
    return one_line(str(value)).replace("|", "\\|")
