"""The page about log events, from log_events.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gigq import events
from reference.markdown import page

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLE = Path(__file__).with_name("log_events.toml")
_INTRO = """\
[The log](../events.md) explains the form of a line, the fields of every line and those of an
exception. Names and fields are part of the interface: new ones may be added; a renamed one is
listed in the change log."""


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
    names = _constants()
    for section in _sections():
        yield f"## {section['title']}"
        yield section.get("intro", "").strip()
        for name, event in _events(section).items():
            yield f"### `{name}`"
            yield event.meaning
            facts = {"Level": event.level, "Fields": event.fields, "Constant": names.get(name)}
            yield " ".join(f"{fact}: {value}." for fact, value in facts.items() if value)


def _constants() -> dict[str, str]:
    """Return the constant of each event of the library, as code, by the event's name."""
    named = {name: value for name, value in vars(events).items() if name.isupper()}
    return {str(value): f"`gigq.events.{name}`" for name, value in named.items()}


def _events(section: dict[str, dict[str, dict[str, str]]]) -> dict[str, Event]:
    return {name: Event(**values) for name, values in section["events"].items()}


def _sections() -> list[dict]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))["section"]
