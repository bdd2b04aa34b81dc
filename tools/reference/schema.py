"""The page about the tables of the database, from a new database and columns.toml."""

from __future__ import annotations

import sqlite3
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from gigq import JobQueue
from gigq.cli.job_json import EXECUTION_KEYS, JOB_KEYS
from reference.markdown import code_block, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEANINGS = Path(__file__).with_name("columns.toml")
_INTRO = """\
Other programs may read these tables, and write rows as GigQ 0.5.1 did. [How it
works](../how-it-works.md) describes the life of a job. Times are text: UTC in ISO format, always
with six decimals and `+00:00`, so that they sort by time. Later versions may add columns at the
end; only a major version renames or removes one."""
_IN_JSON = {"jobs": JOB_KEYS, "job_executions": EXECUTION_KEYS}
_MADE = "SELECT name, sql FROM sqlite_master WHERE type = ? ORDER BY tbl_name, name"
_INDEXES = "The indexes are not part of the interface; a later version may change them."


def text() -> str:
    """Return the page."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.db"
        JobQueue(file).close()
        connection = sqlite3.connect(file)
        try:
            return page(
                "Database schema",
                "a new database and tools/reference/columns.toml",
                _INTRO,
                *_tables(connection),
                "## Indexes and triggers",
                _INDEXES,
                code_block(_statements(connection), "sql"),
            )
        finally:
            connection.close()


def _tables(connection: sqlite3.Connection) -> Iterator[str]:
    meanings = tomllib.loads(_MEANINGS.read_text(encoding="utf-8"))
    names = [name for name, _ in connection.execute(_MADE, ("table",))]
    if sorted(names) != sorted(meanings):
        raise ValueError(f"{_MEANINGS.name} describes {sorted(meanings)}, not {sorted(names)}")
    for name in meanings:
        columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
        yield f"## {name}"
        yield meanings[name].pop("_")
        yield _columns(name, columns, meanings[name])


def _columns(name: str, columns: list[tuple[object, ...]], meanings: dict[str, str]) -> str:
    found = [str(column[1]) for column in columns]
    shown = _IN_JSON.get(name, ())
    if wrong := set(found) ^ meanings.keys():
        raise ValueError(f"{_MEANINGS.name}, {name}: {sorted(wrong)} is missing or too much")
    internal = ", ".join(f"`{column}`" for column in found if column not in shown)
    note = f"\n\nNot in the JSON of the commands: {internal}." if shown and internal else ""
    rows = [
        (f"`{column}`", _type(kind, not_null, default), meanings[str(column)])
        for _, column, kind, not_null, default, _ in columns
    ]
    return table(("Column", "Type", "Meaning"), rows) + note


def _type(kind: object, not_null: object, default: object) -> str:
    may_be_null = "" if not_null else " or null"
    return f"{str(kind).lower()}{may_be_null}" + (f", `{default}`" if default is not None else "")


def _statements(connection: sqlite3.Connection) -> str:
    made = [sql for kind in ("index", "trigger") for _, sql in connection.execute(_MADE, (kind,))]
    return "\n\n".join(f"{sql};" for sql in made if sql)
