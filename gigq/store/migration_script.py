"""The migrations of a PostgreSQL database as a script, for psql and a role that may run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.store import migrate, schema_versions
from gigq.store.dialect import POSTGRES
from gigq.store.postgres import adoption, drivers
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gigq.store.database import Database
    from gigq.store.session import Session

_HEADER = """\
-- gigq: the tables of a queue, from schema {found} to schema {known}. Run it with psql, as a role
-- with the rights of administrator.sql. All of it is one transaction. If the tables are in use,
-- it may end with a lock timeout; then run it again.{older}
"""
_OLDER = """
-- First upgrade or stop the daemons and workers whose gigq does not know schema {usable_from}."""
_NOTHING = "-- gigq: the queue has schema {known}, which is current. There is nothing to run.\n"


def whole(schema: str | None) -> str:
    """Return the script for an empty database.

    Args:
        schema: the schema for the tables; None for that of the connection that runs the script.
    """
    return _script(0, schema, is_new=schema is not None)


def missing(database: Database) -> str:
    """Return the script of the migrations that a database lacks.

    Raises:
        SchemaTooNew: a newer gigq has migrated it.
        StoreError: it cannot be read, or its tables cannot be used for a queue.
    """
    migrate.refuse_newer(database)
    with database.read() as session:
        found, first = migrate.version_in(session), schema_versions.steps(POSTGRES)[0][1]
        if found >= schema_versions.latest(POSTGRES):
            return _NOTHING.format(known=found)
        changes = () if found else adoption.changes(session, first.read_text(encoding="utf-8"))
        schema, is_new = _schema_of(session)
        return _script(found, schema, changes, is_new=is_new)


def _schema_of(session: Session) -> tuple[str, bool]:
    """Return the schema of a queue, and whether it has to be created."""
    named = drivers.schema_of(session.connection)
    if named is not None:
        return named, session.one("named_schema", {"schema": named}) is None
    row = session.one("current_schema")
    assert row is not None, "the version was read from it"
    return row["name"], False


def _script(
    found: int, schema: str | None, changes: Sequence[str] = (), *, is_new: bool = False
) -> str:
    usable_from = schema_versions.usable_after(POSTGRES, found)
    older = _OLDER.format(usable_from=usable_from) if 0 < found < usable_from else ""
    header = _HEADER.format(found=found, known=schema_versions.latest(POSTGRES), older=older)
    frame = (*_before(schema, is_new=is_new), *changes, *_steps(found))
    sql = statements(POSTGRES)
    return header + "".join(f"{one};\n\n" for one in frame) + sql["script_end"] + "\n"


def _before(schema: str | None, *, is_new: bool) -> Iterator[str]:
    """Yield the statements that also the migration by a process begins with."""
    sql = statements(POSTGRES)
    yield sql["script_start"]
    yield sql["lift_time_limits"]
    yield sql["lock_schema"] % {"schema": "NULL" if schema is None else _literal(schema)}
    yield sql["wait_shortly_for_tables"]
    name = "" if schema is None else schema.replace('"', '""')
    if is_new:
        text = sql["create_missing_schema"].format(schema=name, literal=_literal(schema or ""))
        yield f"DO {_literal(text)}"
    if schema is not None:
        yield sql["choose_schema_of_transaction"].format(schema=name)
    yield sql["create_schema_table"]


def _steps(found: int) -> Iterator[str]:
    sql = statements(POSTGRES)
    yield sql["script_check"].format(version=found)
    for number, path in schema_versions.steps(POSTGRES):
        if number > found:
            yield path.read_text(encoding="utf-8").rstrip().removesuffix(";")
            yield _recorded(number, schema_versions.usable_from(path))


def _recorded(number: int, usable_from: int | None) -> str:
    values = {"version": number, "now": "gigq_now()"}
    if usable_from is None:
        return statements(POSTGRES)["record_schema_version"] % values
    stated = {"usable_from": usable_from, "applied_by": _literal(schema_versions.gigq_version())}
    return statements(POSTGRES)["record_stated_version"] % {**values, **stated}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
