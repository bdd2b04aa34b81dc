"""What is known of a configuration key, and the kinds that only this configuration has."""

import re
from dataclasses import Field, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from gigq import served_queues
from gigqd.config import kinds
from gigqd.config.kinds import Kind

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
POOL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Effect(StrEnum):
    """What a reload does with a changed key."""

    LIVE = "live"
    """Applied at once; no process is replaced."""
    RECYCLE = "recycle"
    """Each worker is replaced after its current job."""
    RESTART = "restart"
    """Not applied; reported as needing a restart."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of one key beside its type.

    `fallback` is a default in TOML's form, for values that depend on where the file lies;
    `computed` describes a default that depends on the host; `required` is the message for a key
    that has none; `each` marks a table of free names.
    """

    kind: Kind
    effect: Effect
    help: str
    fallback: object = None
    computed: str = ""
    required: str = ""
    each: bool = False


def about(kind: Kind, effect: Effect, reason: str, **more: Any) -> dict[str, Key]:
    """The metadata of a configuration field."""
    return {"key": Key(kind, effect, reason, **more)}


def key_of(item: Field[Any]) -> Key:
    """The description that a configuration field carries."""
    key: Key = item.metadata["key"]
    return key


RESIDUE = (
    "threads",
    "children",
    "descriptors",
    "handlers",
    "mask",
    "timers",
    "directory",
    "umask",
    "environment",
    "limits",
    "priority",
    "locale",
    "path",
    "streams",
    "interpreter",
    "warnings",
    "logging",
    "hooks",
    "account",
)
"""What a job can leave behind in its worker, by the names that the log gives it."""


def _fits_queue(text: str) -> bool:
    # a star inside a name would look like a pattern, and queues are matched by name only
    name = text.removeprefix(served_queues.NOT)
    return text == served_queues.EVERY or (
        name.strip() != "" and name.isprintable() and served_queues.EVERY not in name
    )


def _fits_module(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _fits_database(text: str) -> bool:
    return text.strip() not in ("", ":memory:") and not re.match(r"(file:|[a-z0-9+]+://)", text)


ACCOUNT = kinds.optional(kinds.text(expected="a name", name="name"), "")
OPTIONAL_PATH = kinds.optional(kinds.path(), "")
_QUEUE = kinds.text(
    _fits_queue,
    'the name of a queue, "*" for every queue, or "!name" for all but that one',
    "queue name",
)
MODULE = kinds.text(_fits_module, 'a module name such as "myapp.jobs"', "module name")
LEFT_BEHIND = kinds.choice(*RESIDUE, name="word")
PATTERN = kinds.text(lambda text: bool(text.strip()), "a pattern", "pattern")


def queues() -> Kind:
    """The queues that a pool serves: names, or every queue, or all but some."""
    listed = kinds.list_of(_QUEUE, required='an empty list serves no queue; "*" is every queue')

    def parse(raw: object, base: Path) -> tuple[str, ...]:
        given: tuple[str, ...] = listed.parse(raw, base)
        served_queues.checked(given)
        return given

    return replace(listed, parse=parse)


def database() -> Kind:
    """The path of the queue's file, as text because a queue may have other addresses one day."""
    located = kinds.path()
    expected = "the path of an SQLite file (no URL, no :memory:)"
    checked = kinds.text(_fits_database, expected, "path")
    return Kind(
        "path",
        "",
        lambda raw, base: str(located.parse(checked.parse(raw, base), base)),
        kinds.quote,
    )
