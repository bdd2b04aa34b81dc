"""What a user has added to a file of GigQ 0.5.1: carried over, or a reason not to begin."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigq.errors import UnsupportedStore
from gigq.store import table_definition
from gigq.store.statements import read
from gigq.store.table_definition import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gigq.store.database import Row, Session

_OLD_INDEXES = frozenset({"idx_jobs_status", "idx_jobs_priority"})
_OLD_CONSTRAINT = "foreignkey(job_id)referencesjobs(id)"
_GENERATED = (2, 3)


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table of an old file, of `jobs` or of `job_executions`.

    Attributes:
        name: its name.
        known: the names of the columns that GigQ made and that are there.
        added: the definitions of the columns that it did not make, by name.
        copied: the names of those of them that hold values.
        objects: the indexes and triggers that it did not make: kind, name and statement of each.
    """

    name: str
    known: tuple[str, ...]
    added: Mapping[str, str]
    copied: tuple[str, ...]
    objects: tuple[tuple[str, str, str], ...]

    @property
    def copied_names(self) -> str:
        """The copied columns as they follow others in a statement."""
        return "".join(f", {quoted(name)}" for name in self.copied)


def find(session: Session, name: str, made_by_gigq: Collection[str]) -> OldTable:
    """Describe a table before anything is changed."""
    columns = session.all("columns_of_table", {"name": name})
    definitions = table_definition.parse(_statement_of(session, name)).columns
    added = {
        row["name"]: definitions.get(row["name"].lower(), quoted(row["name"]))
        for row in columns
        if row["name"].lower() not in made_by_gigq
    }
    return OldTable(
        name,
        tuple(row["name"] for row in columns if row["name"] not in added),
        added,
        tuple(r["name"] for r in columns if r["name"] in added and r["hidden"] not in _GENERATED),
        tuple(
            (row["type"], row["name"], row["sql"])
            for row in session.all("objects_of_table", {"name": name})
            if row["name"] not in _OLD_INDEXES
        ),
    )


def refuse_what_cannot_stay(
    session: Session, tables: Collection[OldTable], fresh: Mapping[str, Collection[str]]
) -> None:
    """Refuse a file in which something has the place of what today's schema needs.

    Args:
        session: the transaction.
        tables: the tables of the old file.
        fresh: the columns of each table of a new file; of its other objects none.

    Raises:
        UnsupportedStore: with a list of all that is in the way. Nothing was changed.
    """
    reasons = [reason for table in tables for reason in _reasons(session, table, fresh)]
    ours = {table.name for table in tables}
    reasons += [
        f"{row['type']} {row['name']} (gigq needs this name)"
        for row in session.all("named_objects")
        if row["name"].lower() in fresh and row["name"] not in ours
    ]
    if reasons:
        raise _refusal(session, reasons)


def add_columns(session: Session, table: OldTable) -> None:
    """Give today's table, while it is empty, the columns that a user had added to the old one.

    Raises:
        UnsupportedStore: SQLite cannot add such columns to a table that is there.
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
    """Create the indexes and triggers of the old tables again, by their own statements.

    Raises:
        UnsupportedStore: SQLite refuses one.
    """
    _run_all(
        session,
        {f"{kind} {name}": sql for table in tables for kind, name, sql in table.objects},
    )


def _reasons(
    session: Session, table: OldTable, fresh: Mapping[str, Collection[str]]
) -> Iterator[str]:
    for name in table.added:
        if name.lower() in fresh[table.name]:
            yield f"column {table.name}.{name} (gigq has a column of this name)"
    definition = table_definition.parse(_statement_of(session, table.name))
    for constraint in definition.constraints:
        if "".join(constraint.lower().split()) != _OLD_CONSTRAINT:
            yield f"constraint of table {table.name} ({constraint})"
    if "WITHOUT" in definition.options.upper():
        yield f"table {table.name} (it is WITHOUT ROWID)"


def _run_all(session: Session, statements: Mapping[str, str]) -> None:
    refused = []
    for what, statement in statements.items():
        try:
            session.connection.cursor().execute(statement)
        except sqlite3.Error as error:
            refused.append(f"{what} ({error})")
    if refused:
        raise _refusal(session, refused)


def _refusal(session: Session, reasons: list[str]) -> UnsupportedStore:
    path = getattr(session.connection, "path", "the database")
    return UnsupportedStore(
        f"{path} is a file of GigQ 0.5.1 and cannot be upgraded with what was added to it; rename "
        f"or drop these first: {'; '.join(reasons)}. Nothing was changed"
    )


def _statement_of(session: Session, name: str) -> str:
    row: Row | None = session.one("statement_of_table", {"name": name})
    return str(row["sql"]) if row else ""
