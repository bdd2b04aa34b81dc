from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.ledger import ran, stored

from gigq.errors import SchemaTooNew, UnsupportedStore
from gigq.store import migrate, schema_versions
from gigq.store.database import Database
from gigq.store.sqlite import connections
from gigq.store.statements import SQL
from gigq.store.verbs import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.only("sqlite")

spawned = multiprocessing.get_context("spawn")


@pytest.fixture
def empty(address: str) -> Iterator[Database]:
    """A store without its schema."""
    yield Database(lambda: connections.open_connection(address))
    connections.close_connections()


def schema(address: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(address)) as connection:
        return connection.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()


def make_the_first_schema(db: Database) -> None:
    script = (SQL / "schema" / "sqlite" / "001_ledger.sql").read_text(encoding="utf-8")
    with db.transaction(durable=True) as session:
        session.run("create_schema_table")
        session.run("record_schema_version", {"version": 1, "now": session.now})
        for statement in script.split(";\n"):
            session.connection.execute(statement)


def start_a_queue(address: str) -> None:
    db = Database(lambda: connections.open_connection(address))
    migrate.apply(db)
    stored(db)


def test_an_empty_file_gets_the_schema_once(empty: Database, address: str) -> None:
    migrate.apply(empty)
    before = schema(address)
    migrate.apply(empty)

    assert schema(address) == before
    assert empty.all("schema_version") == [{"version": schema_versions.latest("sqlite")}]
    assert ("table", "jobs") in before


def test_the_schema_keeps_what_is_stored(empty: Database) -> None:
    migrate.apply(empty)
    stored(empty)
    migrate.apply(empty)

    assert jobs.counts(empty) == {"pending": 1}


def test_applying_it_again_takes_no_write_lock(empty: Database, address: str) -> None:
    migrate.apply(empty)
    empty.lock_timeout = 0
    with closing(sqlite3.connect(address, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        migrate.apply(empty)


def test_of_several_that_start_at_once_one_makes_the_schema(empty: Database, address: str) -> None:
    starters = [
        *(spawned.Process(target=start_a_queue, args=(address,)) for _ in range(3)),
        *(threading.Thread(target=start_a_queue, args=(address,)) for _ in range(3)),
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(60)

    assert jobs.counts(empty) == {"pending": 6}


def test_a_newer_schema_is_refused_and_left_alone(empty: Database, address: str) -> None:
    migrate.apply(empty)
    with empty.transaction(durable=True) as session:
        session.run("record_schema_version", {"version": 999, "now": session.now})
    before = schema(address)

    known = schema_versions.latest("sqlite")
    with pytest.raises(SchemaTooNew, match=rf"schema 999.* knows {known}.* upgrade gigq here"):
        migrate.apply(empty)
    assert schema(address) == before


def test_a_table_of_the_same_name_that_is_no_queue_is_refused(
    empty: Database, address: str
) -> None:
    with closing(sqlite3.connect(address)) as connection:
        connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, salary REAL)")
    before = schema(address)

    with pytest.raises(UnsupportedStore, match=r"'jobs' without .*function_module.* of its own"):
        migrate.apply(empty)
    assert schema(address) == before


def test_the_queue_shares_a_file_with_other_tables(empty: Database, address: str) -> None:
    with closing(sqlite3.connect(address)) as connection:
        connection.execute("CREATE TABLE app (id INTEGER PRIMARY KEY)")
    migrate.apply(empty)
    stored(empty)

    assert ran(empty)
    assert ("table", "app") in schema(address)


def test_a_file_of_the_first_schema_keeps_its_jobs_and_gets_the_later_columns(
    empty: Database,
) -> None:
    make_the_first_schema(empty)
    with empty.transaction(durable=True) as session:
        session.connection.execute(
            "INSERT INTO jobs (id, name, function_name, function_module, created_at, updated_at) "
            "VALUES ('j', 'n', 'f', 'm', '2026-01-01', '2026-01-01')"
        )
    migrate.apply(empty)
    row = jobs.get(empty, "j")

    assert row is not None
    assert (row["memory_limit"], row["crash_limit"]) == (None, 3)
    assert ran(empty).job_id == "j"
    assert jobs.executions(empty, "j")[0]["cancel_requested_at"] is None


def test_a_row_written_with_the_first_columns_only_is_a_job(empty: Database) -> None:
    migrate.apply(empty)
    with empty.transaction(durable=True) as session:
        session.connection.execute(
            "INSERT INTO jobs (id, name, function_name, function_module, status, created_at, "
            "updated_at) VALUES ('j', 'n', 'f', 'm', 'pending', '2026-01-01', '2026-01-01')"
        )

    assert ran(empty).job_id == "j"
