"""The tables of the configuration page, written from the schema."""

from __future__ import annotations

import json

from gigqd.config import schema

HEAD = "| Key | Value | Default | Reload | Meaning |\n|---|---|---|---|---|"


def sections():
    """Each table's heading and its type, as the page has them."""
    tables = {f"[{name}]": table for name, table in schema.TABLES.items()}
    return tables | {"[pools.<name>]": schema.PoolConfig}


def section(heading, table):
    """One section of the page."""
    rows = [_row(name, key) for name, key in table.KEYS.items()]
    return "\n".join([f"### `{heading}`", "", HEAD, *rows])


def _row(name, key):
    meaning = key.meaning.replace("|", "\\|")
    value = key.type.name.replace("|", "or") + (f" ({key.type.unit})" if key.type.unit else "")
    if key.is_table:
        value = "table of text"
    return f"| `{name}` | {value} | {_default(key)} | {key.effect} | {meaning} |"


def _default(key):
    if key.computed or key.required:
        return key.computed or "none: it must be set"
    # text, numbers and lists look the same in JSON and TOML
    return "empty" if key.is_table else f"`{json.dumps(key.default)}`"
