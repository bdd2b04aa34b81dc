"""Migration of a database to the schema that this gigq knows, by the first process to open it.

The upgrade of GigQ 0.5.1 is imported where it may be needed: it is slow to import, and most
processes open a file that is up to date.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from enum import Enum, auto
from functools import cache, partial
from typing import TYPE_CHECKING

from gigq.errors import NoQueue, SchemaTooNew, StoreUnavailable, UnsupportedStore
from gigq.store.dialect import POSTGRES, SQLITE, dialect_of
from gigq.store.schema_versions import Newer, latest, newer, record, steps, usable_after
from gigq.store.sqlite.file.wal_file_names import TO_BEGIN
from gigq.store.sqlite.processes import lock_holders
from gigq.store.sqlite.transactions import SqliteSession
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gigq.store.database import Database
    from gigq.store.session import Session


_REMEDIES = {
    SQLITE: (f"name another file, or {TO_BEGIN}", f"put it back or restore a backup; {TO_BEGIN}"),
    POSTGRES: (
        "name another database or schema, or create the queue there with gigq migrate",
        "name its schema, restore a backup, or create a queue with gigq migrate",
    ),
}
"""The remedies for tables of another program, and for a database without tables."""


_SHOWS_KNOWN = 5
"""The schema on a server from which on the processes show the version that they know."""


class Begin(Enum):
    """The databases in which the tables of a queue may be created."""

    NEVER = auto()
    EMPTY = auto()
    ANYWHERE = auto()


def apply(db: Database, begin: Begin = Begin.ANYWHERE) -> None:
    """Create or migrate the schema; do nothing when it is up to date.

    All missing steps are one transaction: after a kill in the middle the file is as it was, and of
    several processes that start at once one does the work. A file of GigQ 0.5.1 is upgraded. The
    tables on a server are migrated while other processes use them.

    Args:
        db: the database.
        begin: the databases in which a queue may be created.

    Raises:
        NoQueue: there is no queue, and none may be created.
        StoreUnavailable: a process that runs jobs here does not know the new schema.
        SchemaTooNew: a newer gigq has migrated the tables.
        UnsupportedStore: the file has a `jobs` table that is not a queue's, or is a database of
            another program in which no queue may be created.
    """
    if is_usable(db):
        return
    if db.dialect == POSTGRES:
        from gigq.store import online_migration

        online_migration.run(db, partial(_migrate_online, begin=begin))
        return
    with _writing(db) as session:
        refuse_to_begin(session, begin)
        _migrate(session)


def _migrate_online(session: Session, begin: Begin) -> None:
    from gigq.store.online_migration import create_schema
    from gigq.store.postgres.obstacles import objects_refused, refuse_queue_behind

    refuse_queue_behind(session)
    refuse_to_begin(session, begin)
    with objects_refused(session):
        create_schema(session)
        _migrate(session)


@contextmanager
def _writing(db: Database) -> Iterator[Session]:
    """Open the transaction that migrates; a file of GigQ 0.5.1 has references to keep."""
    from gigq.store.upgrade_0_5_1.references import references_kept

    with references_kept(db) as one, one.transaction(durable=True) as session:
        yield session


@repeated
def is_usable(db: Database) -> bool:
    """Return True when a database has the schema of this gigq, or a newer one that it may use."""
    with db.read() as session:
        found = version_in(session)
        if found == latest(dialect_of(session.connection)):
            return True
        later = newer(session, found)
        return later is not None and later.is_usable


def refuse_obstacles(db: Database, begin: Begin = Begin.ANYWHERE) -> None:
    """Refuse a database in which `apply` would fail; nothing is changed.

    On a server the tables are created and changed in a transaction that is undone. In a file the
    tables of GigQ 0.5.1 are examined.

    Args:
        db: the database.
        begin: the databases in which a queue may be created.

    Raises:
        UnsupportedStore: with a list of the obstacles.
        StoreError: as for `apply`.
    """
    if db.dialect == POSTGRES:
        from gigq.store import online_migration

        if not is_usable(db):
            online_migration.try_out(db, partial(_migrate_online, begin=begin))
        return
    from gigq.store.upgrade_0_5_1 import upgrade

    with db.read() as session:
        if version_in(session) == 0:
            upgrade.examine(session, fresh_objects(SQLITE))


def obstacle(connection: sqlite3.Connection, path: str) -> str | None:
    """Return why a file of GigQ 0.5.1 that is open for reading cannot be upgraded, or None."""
    from gigq.store.upgrade_0_5_1 import upgrade

    connection.execute("PRAGMA trusted_schema=OFF")  # as on the connections that run jobs
    try:
        upgrade.examine(SqliteSession(connection), fresh_objects("sqlite"))
    except UnsupportedStore as error:
        return str(error).replace("the database", path, 1)
    return None


def refuse_other_schema(db: Database) -> None:
    """Refuse a database in which this gigq can read only after a migration, or not at all.

    Raises:
        StoreUnavailable: the schema is older.
        SchemaTooNew: a newer gigq has migrated it.
    """
    with db.read() as session:
        found, known = version_in(session), latest(dialect_of(session.connection))
        _refuse_newer(session, found)
        if found < known:
            raise StoreUnavailable(
                f"{_shown(session)} has schema {found} and this gigq works with {known}; run gigq "
                "migrate first"
            )


@repeated
def refuse_newer(db: Database) -> Newer | None:
    """Refuse a store that a newer gigq has migrated while this process ran.

    Returns:
        The versions of a newer store that this gigq may use; None for any other one.

    Raises:
        SchemaTooNew: this gigq may not use it.
    """
    with db.read() as session:
        return _refuse_newer(session, version_in(session))


def _migrate(session: Session) -> None:
    dialect = dialect_of(session.connection)
    found = version_in(session)
    later = _refuse_newer(session, found)
    if later is None:
        _refuse_under_older_processes(session, found)
    with _old_rows_kept(session, is_new=found == 0):
        session.run("create_schema_table")
        for number, path in steps(dialect):
            if number > found:
                session.run_script(path.read_text(encoding="utf-8"))
                record(session, number, path)


@contextmanager
def _old_rows_kept(session: Session, *, is_new: bool) -> Iterator[None]:
    """Keep the rows of GigQ 0.5.1 in a file, or those of an application's own tables."""
    dialect = dialect_of(session.connection)
    if not is_new:
        yield
        return
    if dialect == POSTGRES:
        from gigq.store.postgres.adoption import adopt

        adopt(session, steps(dialect)[0][1].read_text(encoding="utf-8"))
        yield
        return
    if not session.all("named_objects"):
        yield
        return
    from gigq.store.upgrade_0_5_1 import upgrade

    old = upgrade.set_aside(session, fresh_objects(dialect))
    yield
    if old:
        upgrade.carry_over(session, old)


@cache
def fresh_objects(dialect: str) -> Mapping[str, frozenset[str]]:
    """Return the columns of each table of a new file; an empty set for an index or trigger."""
    with closing(sqlite3.connect(":memory:")) as connection:
        session = SqliteSession(connection)
        session.run("create_schema_table")
        for _, path in steps(dialect):
            connection.executescript(path.read_text(encoding="utf-8"))
        return {
            row["name"]: frozenset(
                column["name"] for column in session.all("columns_of_table", {"name": row["name"]})
            )
            for row in session.all("named_objects")
            if not row["name"].startswith("sqlite_")
        }


def refuse_to_begin(session: Session, begin: Begin) -> None:
    """Refuse a database in which the tables of a queue may not be created.

    Raises:
        NoQueue: there is no queue, and none may be created.
        UnsupportedStore: the database has tables of another program.
    """
    names = {row["name"] for row in session.all("table_names")}
    if begin is Begin.ANYWHERE or names & {"jobs", "gigq_schema"}:
        return
    shown = _shown(session)
    others = sorted(name for name in names if not name.startswith("sqlite_"))
    other, lost = _REMEDIES[dialect_of(session.connection)]
    if others:
        raise UnsupportedStore(
            f"{shown} has no queue in it, and tables of another program ({', '.join(others[:3])}); "
            f"{other}"
        )
    if begin is Begin.NEVER:
        raise NoQueue(f"{shown} has no queue in it; {lost}")


def _shown(session: Session) -> str:
    """Return the name of the database for a message."""
    if dialect_of(session.connection) == POSTGRES:
        from gigq.store.postgres.drivers import address_of

        return address_of(session.connection)
    return str(getattr(session.connection, "path", "the database"))


def _refuse_under_older_processes(session: Session, found: int) -> None:
    """Refuse to migrate under a daemon or worker that would then refuse the database."""
    dialect = dialect_of(session.connection)
    known = latest(dialect)
    if not 0 < found < known:
        return
    needed = usable_after(dialect, found)
    said = f"{_shown(session)} has schema {found} and this gigq works with {known}"
    older = (
        _older_in_file(session, needed, said)
        if dialect == SQLITE
        else _older_on_server(session, found, needed)
    )
    if older:
        raise StoreUnavailable(
            f"{said}, which the gigq of process {older}, that runs jobs here, does not know; stop "
            "that process, or upgrade its gigq and start it again, first. Nothing was changed"
        )


def _older_in_file(session: Session, needed: int, said: str) -> str:
    path = getattr(session.connection, "path", "")
    older = lock_holders.older_than(path, needed) if path else ()
    if older is None:
        raise StoreUnavailable(
            f"{said}; which processes run jobs here only the file's owner can see, so its owner "
            "has to open it first with this gigq. Nothing was changed"
        )
    return " ".join(map(str, older))


def _older_on_server(session: Session, found: int, needed: int) -> str:
    if found < _SHOWS_KNOWN:
        return ""
    rows = session.all("processes_behind", {"schema": needed, "now": session.now})
    return ", ".join(f"{row['pid']} on {row['host']} ({row['version']})" for row in rows)


def _refuse_newer(session: Session, found: int) -> Newer | None:
    later = newer(session, found)
    if later is None or later.is_usable:
        return later
    own = "file" if dialect_of(session.connection) == SQLITE else "schema or database"
    raise SchemaTooNew(
        f"the store has {later}: a gigq that knows {later.usable_from} or later must use it; "
        f"upgrade gigq here, or give this one a {own} of its own"
    )


def version_in(session: Session) -> int:
    """Return the version of the schema; 0 without the tables of a queue."""
    tables = session.all("table_names")
    read = partial(_version, session, {row["name"] for row in tables})
    if dialect_of(session.connection) == POSTGRES:
        from gigq.store.postgres.obstacles import checked_version

        return checked_version(session, tables, read)
    return read()


def _version(session: Session, names: set[str]) -> int:
    row = session.one("schema_version") if "gigq_schema" in names else None
    return int(row["version"] or 0) if row else 0
