"""The text of a statement as the drivers of PostgreSQL take it.

The shared statements are written for SQLite: `:name` or `?` for a parameter, `json_each` for the
values of a JSON list, `instr` for the position of a text. Here they become those of PostgreSQL.
"""

from __future__ import annotations

import re

_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)")
_UNTYPED = re.compile(r"(%\([a-z_]+\)s)(?= IS (?:NOT )?NULL)")
_LIMIT = re.compile(r"LIMIT (%\([a-z_]+\)s)")
_IN_LIST = re.compile(r"(?<!NOT )IN \((\w+ value(?:::bigint)? FROM json_each\(%\([a-z_]+\)s\))\)")
_LIST = re.compile(r"json_each\((%\([a-z_]+\)s)\)")


def for_postgres(statement: str) -> str:
    """Return a shared statement in the language of PostgreSQL, with parameters as `%(name)s`."""
    text = statement.replace("%", "%%").replace("?", "%s")
    text = _NAMED.sub(r"%(\1)s", text)
    # The server finds the type of a parameter from its use, and here it has none.
    text = _UNTYPED.sub(r"\1::text", text)
    # Below 0 is no limit in SQLite, and an error here.
    text = _LIMIT.sub(r"LIMIT CASE WHEN \1::bigint >= 0 THEN \1::bigint END", text)
    # The server expects a hundred values in a list, and would read all of a short table. In an
    # array it expects ten, and uses the index.
    text = _IN_LIST.sub(r"= ANY (ARRAY(\1))", text)
    text = _LIST.sub(r"json_array_elements_text(\1::json)", text)
    return text.replace("instr(", "strpos(")
