"""Schemas of PostgreSQL with the tables of a queue, which one test after another uses.

A schema with its tables costs the server five times as much as one that is emptied. After each
test a schema gets another name, so that nothing that a process remembers of an address holds for
the next test. One of which a test has changed more than the rows is dropped instead, and so is a
large one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support import postgres
from support.postgres import administrator, drop_schema, end_other_sessions

from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.postgres import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = ("gigq_schema", "gigq_store")

_DEFINITION = """
WITH space AS (SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = %(name)s),
    class AS (SELECT oid, xmin FROM pg_class WHERE relnamespace = (SELECT oid FROM space)),
    line AS (
        SELECT format('space %%s %%s', nspowner, nspacl) AS text FROM space
        UNION ALL SELECT format('class %%s %%s', oid, xmin) FROM class
        UNION ALL
        SELECT format('column %%s %%s %%s', attrelid, attnum, pg_attribute.xmin)
        FROM class JOIN pg_attribute ON attrelid = class.oid
        UNION ALL
        SELECT format('default %%s %%s', pg_attrdef.oid, pg_attrdef.xmin)
        FROM class JOIN pg_attrdef ON adrelid = class.oid
        UNION ALL
        SELECT format('index %%s %%s', indexrelid, pg_index.xmin)
        FROM class JOIN pg_index ON indrelid = class.oid
        UNION ALL
        SELECT format('trigger %%s %%s', pg_trigger.oid, pg_trigger.xmin)
        FROM class JOIN pg_trigger ON tgrelid = class.oid
        UNION ALL
        SELECT format('constraint %%s %%s', oid, xmin)
        FROM pg_constraint WHERE connamespace = (SELECT oid FROM space)
        UNION ALL
        SELECT format('function %%s %%s', oid, xmin)
        FROM pg_proc WHERE pronamespace = (SELECT oid FROM space)
        UNION ALL
        SELECT format('rights %%s %%s', oid, xmin)
        FROM pg_default_acl WHERE defaclnamespace = (SELECT oid FROM space)
    )
SELECT md5(string_agg(text, ',' ORDER BY text)) FROM line
"""
"""A digest that changes with each row of the catalog that is added, written or deleted."""

_DELETES = """
SELECT format('DELETE FROM %%I.%%I', schemaname, tablename) FROM pg_tables
WHERE schemaname = %s AND tablename <> ALL(%s)
"""
_RESTARTS = """
SELECT setval(pg_class.oid::regclass, 1, false)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relkind = 'S'
"""
_BYTES = """
SELECT sum(pg_relation_size(pg_class.oid))
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s
"""
_VERSIONS = "SELECT array_agg(version ORDER BY version) FROM {}.gigq_schema"

_MOST_BYTES = 2 << 20

_free: list[str] = []
_definitions: dict[str, Any] = {}
"""What each schema was defined as at first."""


@contextmanager
def migrated_schema() -> Iterator[str]:
    """The address of a schema that no other test uses at the time, with empty tables."""
    name = f"test_{new_id().replace('-', '')}"
    if _free:
        last = _free.pop()
        administrator().execute(f"ALTER SCHEMA {last} RENAME TO {name}")
        _definitions[name] = _definitions.pop(last)
    else:
        _create(name)
    try:
        yield postgres.address_in(name)
    finally:
        end_other_sessions(administrator(), name)
        if _definition(name) == _definitions[name] and _bytes(name) < _MOST_BYTES:
            _empty(name)
            _free.append(name)
        else:
            del _definitions[name]
            drop_schema(administrator(), name)


def _create(name: str) -> None:
    administrator().execute(f"CREATE SCHEMA {name}")
    address = postgres.address_in(name)
    migrate.apply(Database(lambda: connections.open_connection(address)))
    connections.close_connection(address)
    _definitions[name] = _definition(name)


def _definition(name: str) -> Any:
    """A digest of all that is defined in a schema, and the versions of its tables."""
    try:
        versions = administrator().execute(_VERSIONS.format(name)).fetchone()
    except Exception:  # noqa: BLE001 - the test has dropped the table, or the schema
        return None
    return versions, administrator().execute(_DEFINITION, {"name": name}).fetchone()


def _bytes(name: str) -> int:
    """The size of the tables and indexes, which grow as rows are deleted."""
    (size,) = administrator().execute(_BYTES, (name,)).fetchone()
    return int(size)


def _empty(name: str) -> None:
    # TRUNCATE gives every table and index a new file, which takes the server fifty times as long.
    run = administrator().execute
    for (statement,) in run(_DELETES, (name, list(_KEPT))).fetchall():
        run(statement)
    run(_RESTARTS, (name,))
    run(f"UPDATE {name}.gigq_store SET id = gen_random_uuid()::text")
