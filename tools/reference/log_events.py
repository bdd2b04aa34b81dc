"""The page about log events, from log_events.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reference.markdown import page

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLE = Path(__file__).with_name("log_events.toml")
_INTRO = """\
[The log](../events.md) explains how a line is written, which fields every line has and how an
exception looks. Names and fields are part of the interface: they are added to, and not renamed
without a note in the change log."""


class Event(NamedTuple):
    """An event of the log.

    Attributes:
        level: the level, or the levels, at which it is logged.
        fields: Markdown about its own fields, besides those of every line.
        meaning: sentences about it.
    """

    level: str
    meaning: str
    fields: str = ""


def text() -> str:
    """Return the page."""
    return page("Log events", "tools/reference/log_events.toml", _INTRO, *_parts())


def described() -> dict[str, Event]:
    """Return every event that the table describes, by name."""
    return {name: event for section in _sections() for name, event in _events(section).items()}


def _parts() -> Iterator[str]:
    for section in _sections():
        yield f"## {section['title']}"
        yield section.get("intro", "").strip()
        for name, event in _events(section).items():
            yield f"### `{name}`"
            yield event.meaning
            yield f"Level: {event.level}." + (f" Fields: {event.fields}." if event.fields else "")


def _events(section: dict[str, dict[str, dict[str, str]]]) -> dict[str, Event]:
    return {name: Event(**values) for name, values in section["events"].items()}


def _sections() -> list[dict]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))["section"]
