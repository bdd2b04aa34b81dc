"""Reasons to refuse the upgrade of a file of GigQ 0.5.1: additions that it could not keep."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

from gigq.errors import UnsupportedStore
from gigq.store import table_definition
from gigq.store.statements import read
from gigq.store.table_definition import folded, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gigq.store.database import Session
    from gigq.store.upgrade_0_5_1.user_objects import OldTable

SET_ASIDE = frozenset({"gigq_old_jobs", "gigq_old_executions"})
"""The names of the old tables during the upgrade."""

_OLD_CONSTRAINTS = frozenset({"foreignkey(job_id)referencesjobs(id)", "primarykey(id)"})
_NOT_NULL = (
    *("id", "name", "function_name", "function_module", "status", "created_at", "updated_at"),
    *("priority", "attempts", "max_attempts", "retry_delay", "dependencies"),
    *("job_id", "worker_id", "started_at"),
)
_OWN_CLAUSES = (
    ("id", r"PRIMARY\s+KEY"),
    ("job_id", r'REFERENCES\s+"?jobs"?\s*\(\s*"?id"?\s*\)'),
    ("priority", r"DEFAULT\s+0"),
    ("attempts", r"DEFAULT\s+0"),
    ("retry_delay", r"DEFAULT\s+0"),
    ("max_attempts", r"DEFAULT\s+3"),
    ("timeout", r"DEFAULT\s+300"),
    *((name, r"NOT\s+NULL") for name in _NOT_NULL),
)
"""The clauses of GigQ's columns: those that GigQ 0.5.1 wrote, and those of today's schema."""

_UNSAFE = re.compile(r"unsafe use of (?:virtual table )?\"?(\w+)")


def refuse(
    session: Session, tables: Collection[OldTable], fresh: Mapping[str, Collection[str]]
) -> None:
    """Refuse a file with objects that the upgrade would lose or whose names a queue needs.

    Args:
        session: the transaction.
        tables: the tables of the old file; empty when there is no queue in it.
        fresh: the objects of a new file, with the columns of each table.

    Raises:
        UnsupportedStore: with a list of these objects. Nothing was changed.
    """
    reasons = [reason for table in tables for reason in _of_table(table, fresh)]
    reasons += _of_names(session, {table.name for table in tables}, fresh)
    if not reasons:
        for table in tables:
            reasons += _of_use(session, table)
    if reasons and not tables:
        raise UnsupportedStore(
            f"{_path_of(session)} has no queue in it, and other things with names that a queue "
            f"needs: {_listed(reasons)}; give the queue a file of its own. Nothing was changed"
        )
    if reasons:
        raise refusal(session, reasons)


def refusal(session: Session, reasons: Collection[str]) -> UnsupportedStore:
    """Return the error that lists the obstacles to an upgrade."""
    return UnsupportedStore(
        f"{_path_of(session)} cannot be upgraded from GigQ 0.5.1 as it is; rename, change or drop "
        f"these first: {_listed(reasons)}. Nothing was changed"
    )


def _path_of(session: Session) -> str:
    return getattr(session.connection, "path", "the database")


def _listed(reasons: Collection[str]) -> str:
    return "; ".join(" ".join(reason.split()) for reason in reasons)


def _of_table(table: OldTable, fresh: Mapping[str, Collection[str]]) -> Iterator[str]:
    definition = table_definition.parse(table.statement)
    for name in (*table.known, *table.added):
        reason = _of_column(name, fresh[table.name] if name in table.added else ())
        if table.statement and folded(name) not in definition.columns:
            reason = "its definition cannot be read"
        if reason:
            yield f"column {table.name}.{name} ({reason})"
    for name in table.known:
        if clauses := _not_ours(definition.columns.get(folded(name), "")):
            yield f"{clauses} of column {table.name}.{name} (gigq's own column does not have this)"
    for constraint in definition.constraints:
        if _squeezed(constraint) not in _OLD_CONSTRAINTS:
            yield f"constraint of table {table.name} ({constraint})"
    if definition.options:
        yield f"table {table.name} (it is {definition.options})"


def _of_column(name: str, taken: Collection[str]) -> str:
    if folded(name) in taken:
        return "gigq has a column of this name"
    if folded(name) == "rowid":
        return "gigq finds rows by the number of this name"
    return ""


def _not_ours(definition: str) -> str:
    """Return the clauses of GigQ's column that GigQ did not write, as one text."""
    name, clauses = table_definition.clauses_of(definition)
    for column, pattern in _OWN_CLAUSES:
        if column == name:
            clauses = re.sub(rf"(?<!\S){pattern}(?!\S)", "", clauses, flags=re.IGNORECASE)
    return " ".join(clauses.split())


def _squeezed(constraint: str) -> str:
    return re.sub(r'[\s"`\[\]]', "", constraint).lower()


def _of_names(
    session: Session, ours: Collection[str], fresh: Mapping[str, Collection[str]]
) -> Iterator[str]:
    for row in session.all("named_objects"):
        name = folded(row["name"])
        if row["type"] == "table" and name in ours:
            continue
        if name in SET_ASIDE or name in fresh:
            yield f"{row['type']} {row['name']} (gigq needs this name)"


def _of_use(session: Session, table: OldTable) -> list[str]:
    """Return SQLite's errors when it prepares changes of the table, with triggers and indexes.

    Schemas are not trusted: in them SQLite refuses functions that are not innocuous.
    """
    reasons = []
    for statement in _uses(table):
        try:
            session.connection.cursor().execute(statement)
        except sqlite3.Error as error:
            reasons.append(_unusable(table, str(error)))
    return list(dict.fromkeys(reasons))


def _uses(table: OldTable) -> Iterator[str]:
    if table.statement:
        templates = read("upgrade_templates")
        columns = ", ".join(f"{quoted(c)} = {quoted(c)}" for c in (*table.known, *table.copied))
        for name in ("explain_read", "explain_insert", "explain_update", "explain_delete"):
            yield templates[name].format(table=table.name, columns=columns)


def _unusable(table: OldTable, error: str) -> str:
    unsafe = _UNSAFE.match(error)
    if unsafe is None:
        return f"a trigger, index or column of table {table.name} ({error})"
    word = unsafe[1]
    users = [f"{kind} {name}" for kind, name, sql in table.objects if word in sql]
    users += [f"column {table.name}.{name}" for name, sql in table.added.items() if word in sql]
    what = ", ".join(users) or f"a trigger, index or column of table {table.name}"
    return (
        f"{what} ({error}; gigq does not let a database's schema use what SQLite "
        f"{sqlite3.sqlite_version} does not count as harmless)"
    )
