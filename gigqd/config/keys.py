"""What is known of a configuration key, and the kinds that only this configuration has."""

import re
from dataclasses import Field, dataclass
from enum import StrEnum
from typing import Any

from gigqd.config import kinds
from gigqd.config.kinds import Kind

EVERY_QUEUE = "*"

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
)
"""What a job can leave behind in its worker, by the names that the log gives it."""


def _fits_queue(text: str) -> bool:
    # a star inside a name would look like a pattern, and queues are matched by name only
    return text == EVERY_QUEUE or (text.strip() != "" and text.isprintable() and "*" not in text)


def _fits_module(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _fits_database(text: str) -> bool:
    return text.strip() not in ("", ":memory:") and not re.match(r"(file:|[a-z0-9+]+://)", text)


ACCOUNT = kinds.optional(kinds.text(expected="a name", name="name"), "")
OPTIONAL_PATH = kinds.optional(kinds.path(), "")
QUEUE_NAME = kinds.text(_fits_queue, 'the name of a queue, or "*" for every queue', "queue name")
MODULE = kinds.text(_fits_module, 'a module name such as "myapp.jobs"', "module name")
LEFT_BEHIND = kinds.choice(*RESIDUE, name="word")
PATTERN = kinds.text(lambda text: bool(text.strip()), "a pattern", "pattern")


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
