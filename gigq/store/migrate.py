"""Bringing a database to the schema that this gigq knows, once, whoever comes first."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING

from gigq.errors import SchemaTooNew
from gigq.store import upgrade
from gigq.store.dialect import dialect_of
from gigq.store.statements import SQL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gigq.store.database import Database, Session


def apply(db: Database) -> None:
    """Create or migrate the schema; nothing happens when it is there already.

    All missing steps are one transaction: a process killed in the middle leaves the file as it
    was, and of several that start at once one does the work. A file of GigQ 0.5.1 is upgraded.

    Raises:
        SchemaTooNew: a newer gigq has migrated it.
        UnsupportedStore: the file has a `jobs` table that is not a queue's.
    """
    with db.read() as session:
        if _version(session) == latest(dialect_of(session.connection).name):
            return
    with db.transaction(durable=True) as session:
        _migrate(session)


def refuse_newer(db: Database) -> None:
    """Look whether a newer gigq has migrated the store meanwhile.

    Raises:
        SchemaTooNew: it has.
    """
    with db.read() as session:
        _refuse_newer(_version(session), latest(dialect_of(session.connection).name))


@cache
def latest(dialect: str) -> int:
    """The version of the schema that this gigq works with."""
    return max(number for number, _ in _steps(dialect))


def _migrate(session: Session) -> None:
    dialect = dialect_of(session.connection).name
    found = _version(session)
    _refuse_newer(found, latest(dialect))
    old_file = found == 0 and upgrade.set_aside(session)
    session.run("create_schema_table")
    for number, path in _steps(dialect):
        if number > found:
            for statement in _split(path.read_text(encoding="utf-8")):
                session.connection.cursor().execute(statement)
            session.run("record_schema_version", {"version": number, "now": session.now})
    if old_file:
        upgrade.carry_over(session)


def _refuse_newer(found: int, known: int) -> None:
    if found > known:
        raise SchemaTooNew(
            f"the store has schema {found} and this gigq knows {known}: a newer gigq has used it; "
            "upgrade gigq here, or give this one a file of its own"
        )


def _version(session: Session) -> int:
    names = {row["name"] for row in session.all("table_names")}
    if "gigq_schema" not in names:
        return 0
    row = session.one("schema_version")
    return int(row["version"] or 0) if row else 0


def _steps(dialect: str) -> list[tuple[int, Path]]:
    """The numbered schema files, `001_what.sql` first."""
    files = sorted((SQL / "schema" / dialect).glob("[0-9]*.sql"))
    return [(int(file.name.partition("_")[0]), file) for file in files]


def _split(script: str) -> Iterator[str]:
    """The statements of a script one by one: running it whole would commit before it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
