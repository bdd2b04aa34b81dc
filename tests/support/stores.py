"""An empty store with its schema, on each kind of database."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from support import postgres, schema_pool

from gigq.model.database_address import is_address
from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.postgres import connections as postgres_connections
from gigq.store.sqlite import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("sqlite", "postgres")


@contextmanager
def address_of(kind: str, folder: Path) -> Iterator[str]:
    """The address of a store that does not exist yet."""
    if kind == "sqlite":
        yield str(folder / "queue.db")
        connections.close_connections()
        return
    with postgres.fresh_schema(f"test_{new_id().replace('-', '')}") as address:
        yield address
        postgres_connections.close_connection(address)


@contextmanager
def begun(kind: str, folder: Path) -> Iterator[str]:
    """The address of a store that has its schema and no jobs."""
    if kind == "sqlite":
        with address_of(kind, folder) as address:
            begun_at(address)
            yield address
        return
    with schema_pool.migrated_schema() as address:
        yield address
        postgres_connections.close_connection(address)


def database_at(address: str) -> Database:
    """The database with an address, on the connection of each thread."""
    if is_address(address):
        return Database(lambda: postgres_connections.open_connection(address))
    return Database(lambda: connections.open_connection(address))


def begun_at(address: str) -> Database:
    """The database with an address, with its schema."""
    if not is_address(address):
        begin_file(address)
    database = database_at(address)
    migrate.apply(database)
    return database


def begin_file(path: str) -> None:
    """Make a file with the schema, unless there is one; a copy takes a tenth of a migration."""
    if not Path(path).exists():
        shutil.copy(_new_file(), path)


@cache
def _new_file() -> Path:
    """A file with the schema and no jobs, one for each process of the run."""
    file = Path(tempfile.mkdtemp(dir=os.environ["XDG_RUNTIME_DIR"]), "queue.db")
    migrate.apply(database_at(str(file)))
    connections.close_connection(str(file))
    return file
