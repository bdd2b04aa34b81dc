"""Columns, indexes and triggers that a user added to a file of GigQ 0.5.1."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from gigq.store import table_definition
from gigq.store.statements import read
from gigq.store.table_definition import folded, quoted
from gigq.store.upgrade_0_5_1 import obstacles

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gigq.store.database import Row, Session

_OLD_INDEXES = frozenset(
    {
        "create index idx_jobs_status on jobs (status)",
        "create index idx_jobs_priority on jobs (priority)",
    }
)
_GENERATED = (2, 3)


class OldTable(NamedTuple):
    """The table `jobs` or `job_executions` of an old file.

    Attributes:
        name: its name.
        statement: the statement that created it; empty when there is no such table.
        known: the names of GigQ's columns in it.
        added: the definitions of the user's columns, by name.
        copied: the names of the user's columns that hold values.
        objects: kind, name and statement of each of the user's indexes and triggers.
    """

    name: str
    statement: str
    known: tuple[str, ...]
    added: Mapping[str, str]
    copied: tuple[str, ...]
    objects: tuple[tuple[str, str, str], ...]

    @property
    def copied_names(self) -> str:
        """The names of the copied columns, to append to a list of columns in a statement."""
        return "".join(f", {quoted(name)}" for name in self.copied)


def find(session: Session, name: str, made_by_gigq: Collection[str]) -> OldTable:
    """Describe a table before it is changed."""
    columns = session.all("columns_of_table", {"name": name})
    statement = _statement_of(session, name)
    definitions = table_definition.parse(statement).columns
    added = {
        row["name"]: definitions.get(folded(row["name"]), quoted(row["name"]))
        for row in columns
        if folded(row["name"]) not in made_by_gigq
    }
    return OldTable(
        name,
        statement,
        tuple(row["name"] for row in columns if row["name"] not in added),
        added,
        tuple(r["name"] for r in columns if r["name"] in added and r["hidden"] not in _GENERATED),
        tuple(
            (row["type"], row["name"], row["sql"])
            for row in session.all("objects_of_table", {"name": name})
            if " ".join(folded(row["sql"]).split()) not in _OLD_INDEXES
        ),
    )


def add_columns(session: Session, table: OldTable) -> None:
    """Add the columns that a user added to the old table to today's table, while it is empty.

    Raises:
        UnsupportedStore: SQLite cannot add such columns to an existing table.
    """
    template = read("upgrade_templates")["add_column"]
    _run_all(
        session,
        {
            f"column {table.name}.{name}": template.format(table=table.name, definition=definition)
            for name, definition in table.added.items()
        },
    )


def create_objects(session: Session, tables: Collection[OldTable]) -> None:
    """Create the indexes and triggers of the old tables again, with their own statements.

    Raises:
        UnsupportedStore: SQLite refuses a statement.
    """
    _run_all(
        session,
        {f"{kind} {name}": sql for table in tables for kind, name, sql in table.objects},
    )


def _run_all(session: Session, statements: Mapping[str, str]) -> None:
    refused = []
    for what, statement in statements.items():
        try:
            session.connection.cursor().execute(statement)
        except sqlite3.Error as error:
            refused.append(f"{what} ({error})")
    if refused:
        raise obstacles.refusal(session, refused)


def _statement_of(session: Session, name: str) -> str:
    row: Row | None = session.one("statement_of_table", {"name": name})
    return str(row["sql"]) if row else ""
