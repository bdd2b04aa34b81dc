"""The database that a command names: a file, or the address of a PostgreSQL database.

The modules of PostgreSQL are imported where an address needs them: most commands name a file.
"""

from __future__ import annotations

from typing import NamedTuple

from gigq.errors import StoreUnavailable
from gigq.model.database_address import is_address, without_password
from gigq.store import initialization, migrate, read_only, schema_versions
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.read_only import ReadingDatabase
from gigq.store.sqlite import connections
from gigq.store.sqlite.file.filesystem import refuse_other_kind, resolve
from gigq.store.sqlite.processes import lock_holders, run_locks


class Place(NamedTuple):
    """The place at which the processes of this host that run the jobs of a database are found.

    Attributes:
        paths: the paths beside which they keep their locks; they need not exist.
        server: the address, when processes of other hosts and accounts may run the jobs, too.
    """

    paths: tuple[str, ...]
    server: str | None = None

    @property
    def is_shared(self) -> bool:
        """True when processes of other hosts and accounts may run the jobs, too."""
        return self.server is not None

    def may_be_elsewhere(self, run: str) -> bool:
        """Return True for a run whose end this host cannot see."""
        return self.is_shared and not run_locks.is_of_this_host(run)

    def is_gone(self, run: str | None) -> bool:
        """Return True when the process of a run has ended for certain."""
        if not self.is_shared:
            return lock_holders.is_gone(self.paths[0], run) is True
        is_known = run is not None and not self.may_be_elsewhere(run)
        return is_known and run_locks.process_of(str(run)) is None

    def sessions(self) -> str | None:
        """Return the sessions that run jobs, as the server lists them; None without any."""
        if self.server is None:
            return None
        from gigq.store.postgres import connections, read_only, sessions

        connection = connections.open_connection(self.server)
        return sessions.that_run_jobs(read_only.query(connection, "sessions_of_gigq") or ())


def find_place(name: str) -> Place:
    """Return the place of a database with a queue, and create nothing."""
    if is_address(name):
        from gigq.store.postgres.connections import open_connection
        from gigq.store.postgres.daemons import places_of
        from gigq.store.postgres.place import place_of_workers, store_of

        store = store_of(open_connection(name))
        return Place((place_of_workers(store), *places_of(store)), server=name)
    return Place((resolve(name),))


def refuse_other_files(name: str) -> None:
    """Refuse what is neither an address nor the path of a file or of a new one.

    Raises:
        StoreError: it is a folder, a device, a FIFO or a socket, or no path.
    """
    if not is_address(name):
        refuse_other_kind(resolve(name))


def require_queue(name: str) -> None:
    """Refuse a database without a queue, and leave it unchanged.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_other_files(name)
    if is_address(name):
        _require_tables(name)
    else:
        read_only.refuse_without_queue(name)


def open_for_reading(name: str) -> Database:
    """Return a database with a queue for reading, which changes nothing.

    Raises:
        StoreUnavailable: the tables on the server are not those of this version of gigq.
        SchemaTooNew: a newer gigq has migrated the tables on the server.
    """
    if not is_address(name):
        return ReadingDatabase(resolve(name))
    database = _on_server(name)
    migrate.refuse_other_schema(database)
    return database


def prepare_for_worker(name: str, *, anywhere: bool) -> None:
    """Create or migrate the tables of a queue.

    Args:
        name: the path or the address.
        anywhere: True to create the queue also beside other tables, or in place of a lost file.

    Raises:
        StoreError: the database cannot be used, or was lost.
    """
    refuse_other_files(name)
    if is_address(name):
        migrate.apply(_on_server(name), Begin.ANYWHERE if anywhere else Begin.EMPTY)
        return
    if anywhere:
        initialization.initialize(name)
    else:
        begin = initialization.prepare_file(name)
        database = Database(lambda: connections.open_connection(name))
        initialization.open_queue(database, name, begin)
    connections.require(name)


def bring_up_to_date(name: str) -> tuple[int, int]:
    """Create or migrate the tables of a queue, on a server also beside other tables.

    Returns:
        The versions of the schema before and after; 0 without tables, or with those of GigQ 0.5.1.

    Raises:
        StoreError: the database cannot be used, or was lost.
    """
    refuse_other_files(name)
    if is_address(name):
        database, begin = _on_server(name), Begin.ANYWHERE
    else:
        begin = initialization.prepare_file(name)
        database = Database(lambda: connections.open_connection(name))
    with database.read() as session:
        before = migrate.version_in(session)
    if is_address(name):
        migrate.apply(database, begin)
    else:
        initialization.open_queue(database, name, begin)
    return before, max(before, schema_versions.latest(database.dialect))


def whole_script(name: str) -> str:
    """Return the script for an empty database, in the schema that an address names.

    Raises:
        UnsupportedStore: it is neither an address nor the path of a file.
    """
    from gigq.store import migration_script
    from gigq.store.postgres.address import parse

    refuse_other_files(name)
    return migration_script.whole(parse(name).schema if is_address(name) else None)


def missing_script(address: str) -> str:
    """Return the script of the migrations that a database on a server lacks.

    Raises:
        StoreError: the database cannot be read, or its tables cannot be used.
    """
    from gigq.store import migration_script

    return migration_script.missing(_on_server(address))


def _on_server(address: str) -> Database:
    from gigq.store.postgres.connections import open_connection

    return Database(lambda: open_connection(address))


def _require_tables(address: str) -> None:
    from gigq.store.postgres.obstacles import refuse_without_schema

    with _on_server(address).read() as session:
        names = {row["name"] for row in session.all("table_names")}
        if not names:
            refuse_without_schema(session)
    if "jobs" not in names:
        remedy = "it has tables of another program" if names else "submit a job first"
        raise StoreUnavailable(
            f"{without_password(address)} has no queue in it; {remedy}, create one with gigq "
            "migrate, or name another database or schema"
        )
