"""Named statements: the `-- name:` sections of `sql/shared.sql` and of one dialect's files.

A name of `sql/parts.sql` in braces stands for that part. A statement with `{of_known}` has a second
form under a name of its own, which leaves the jobs of some functions out.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.store.dialect import POSTGRES, SQLITE
from gigq.store.job_row import insertion, postgres_insertion
from gigq.store.schema_files import latest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SQL = Path(__file__).parent / "sql"
_MARK = "-- name:"
_OF_KNOWN = "of_known"
_FILES = {
    SQLITE: (
        *("shared", "listing", "processes", "pauses", "unknown_functions", "unconfirmed"),
        *("sqlite", "upgrade"),
    ),
    POSTGRES: (
        *("shared", "listing", "processes", "pauses", "unknown_functions", "unconfirmed"),
        "notifications",
        "live_output",
        *(
            "postgres_session",
            "postgres",
            "postgres_claims",
            "postgres_batches",
            "migration_script",
        ),
    ),
}


@cache
def statements(dialect: str) -> Mapping[str, str]:
    """Return every statement of a dialect's store, by name."""
    found: dict[str, str] = {}
    parts = read("parts")
    of_known = parts.pop(_OF_KNOWN)
    parts["knows"] = str(latest(dialect))
    for file in _FILES[dialect]:
        for name, text in read(file).items():
            found |= _forms(name, _with_parts(text, parts), of_known)
    if dialect == SQLITE:
        return {**found, "insert_job": insertion(found["insert_job"])}
    from gigq.store.statement_text import for_postgres

    for name in ("insert_job", "insert_jobs", "copy_jobs"):
        found[name] = postgres_insertion(found[name])
    return {name: for_postgres(statement) for name, statement in found.items()}


@cache
def read_only_statements(dialect: str = SQLITE) -> Mapping[str, str]:
    """Return the read-only queries for inspection and the statements of the store, by name."""
    if dialect == SQLITE:
        return {**statements(dialect), **read("read_only")}
    from gigq.store.statement_text import for_postgres

    added = {**read("read_only"), **read("server")}
    return {
        **statements(dialect),
        **{name: for_postgres(statement) for name, statement in added.items()},
    }


def read(file: str) -> dict[str, str]:
    """Return the statements of one file in `sql/`, by name, without comments."""
    text = (SQL / f"{file}.sql").read_text(encoding="utf-8")
    return dict(_sections(text))


def _forms(name: str, statement: str, of_known: str) -> dict[str, str]:
    marker = f"{{{_OF_KNOWN}}}"
    if marker not in statement:
        return {name: statement}
    left_out = statement.replace(marker, of_known)
    return {name: statement.replace(marker, ""), f"{name}_{_OF_KNOWN}": left_out}


def _with_parts(statement: str, parts: Mapping[str, str]) -> str:
    for name, text in parts.items():
        statement = statement.replace(f"{{{name}}}", text)
    return statement


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for section in text.split(_MARK)[1:]:
        name, _, body = section.partition("\n")
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        yield name.strip(), "\n".join(lines).strip().removesuffix(";")
