"""The page about the keys of the configuration, from gigqd/config/schema.py."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from gigqd.config import schema
from reference.markdown import page

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED = re.compile(r'"[^"]*"')
_INTRO = """\
[Configuration](../configuration.md) explains where the file is found, how values are written,
which variables override it, and [the effect of a
reload](../configuration.md#what-a-reload-does)."""


def text() -> str:
    """Return the page."""
    return page("Configuration keys", "gigqd/config/schema.py", _INTRO, *_tables())


def tables() -> dict[str, type[schema.Table]]:
    """Return the tables by the name that they have in the file."""
    return {**schema.TABLES, "pools.NAME": schema.PoolConfig}


def _tables() -> Iterator[str]:
    for name, table in tables().items():
        yield f"## `[{name}]`"
        yield _summary(table)
        yield from (_key(name, key, declared) for key, declared in table.KEYS.items())


def _summary(table: type[schema.Table]) -> str:
    return (table.__doc__ or "").partition("\n\n")[0]


def _key(table: str, name: str, key: schema.Key) -> str:
    facts = [
        f"- **Value:** {_value(key)}",
        f"- **Default:** {_default(key)}",
        f"- **Reload:** {key.effect}",
        f"- **Variable:** `{_variable(table, name, key)}`",
    ]
    return "\n".join([f"### `{table}.{name}`", "", key.meaning, "", *facts])


def _value(key: schema.Key) -> str:
    if key.is_table:
        return "table of names and strings"
    name, unit = _alternatives(key.type.name), key.type.unit
    if unit:
        name += f" of {unit}" if name == "whole number" else f" or a number of {unit}"
    limits = _QUOTED.sub(r"`\g<0>`", key.type.limits)
    return ", ".join(filter(None, [name, limits]))


def _alternatives(name: str) -> str:
    """Return the name of a type; the words of a choice as code."""
    words = name.split(" | ")
    if len(words) == 1:
        return name
    *first, last = [f'`"{word}"`' for word in words]
    return f"{', '.join(first)} or {last}"


def _default(key: schema.Key) -> str:
    if key.computed or key.required:
        return key.computed or "none; it must be set"
    # Text, numbers and lists look the same in JSON and TOML.
    return "empty" if key.is_table else f"`{json.dumps(key.default)}`"


def _variable(table: str, name: str, key: schema.Key) -> str:
    parts = [*table.split("."), name, *(["NAME"] if key.is_table else [])]
    return "GIGQD_" + "__".join(part.upper() for part in parts)
