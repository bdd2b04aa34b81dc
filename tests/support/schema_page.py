"""The tables of the configuration page, written from the schema."""

from __future__ import annotations

import json
from dataclasses import MISSING

from gigqd.config import schema
from gigqd.config.keys import key_of

HEAD = "| Key | Value | Default | Reload | Meaning |\n|---|---|---|---|---|"


def sections():
    """Each table's heading and its type, as the page has them."""
    tables = {f"[{name}]": cls for name, cls in schema.TABLES.items()}
    return tables | {"[pools.<name>]": schema.PoolConfig}


def section(heading, cls):
    """One section of the page."""
    rows = [_row(name, item) for name, item in schema.keys(cls).items()]
    return "\n".join([f"### `{heading}`", "", HEAD, *rows])


def _row(name, item):
    key = key_of(item)
    meaning = key.help.replace("|", "\\|")
    value = key.kind.name.replace("|", "or") + (f" ({key.kind.unit})" if key.kind.unit else "")
    if key.each:
        value = "table of text"
    return f"| `{name}` | {value} | {_default(item)} | {key.effect} | {meaning} |"


def _default(item):
    key = key_of(item)
    if key.computed or key.required:
        return key.computed or "none: it must be set"
    if key.each:
        return "empty"
    if key.fallback is not None:
        return f"`{json.dumps(key.fallback)}`"  # text and lists look the same in TOML
    assert item.default is not MISSING, item.name
    return f"`{key.kind.show(item.default)}`"
