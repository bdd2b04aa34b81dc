"""Migration of a PostgreSQL database while other processes use it."""

from __future__ import annotations

import multiprocessing
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import postgres, stores
from support.raw_sql import Program
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigq.errors import NoQueue, SchemaTooNew, StoreLocked
from gigq.model.ids import new_id
from gigq.store import migrate, online_migration, schema_versions
from gigq.store.database import Database
from gigq.store.dialect import POSTGRES
from gigq.store.postgres.connections import new_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.session import Session

pytestmark = pytest.mark.only("postgres")

ROUNDS = 10
COLUMNS = ("id", "name", "created_at", "updated_at", "function_module", "function_name")
TABLE_OF_AN_APPLICATION = f"""CREATE TABLE jobs (
    {", ".join(f"{name} TEXT" for name in COLUMNS)}, PRIMARY KEY (id))"""
INSERT = "INSERT INTO jobs VALUES (?, 'x', 'x', 'x', 'x', 'x')"
WAITING = """SELECT 1 FROM pg_locks WHERE relation = to_regclass('jobs') AND NOT granted"""


def job() -> None:
    pass


def open_and_submit(address: str) -> str:
    """Submit a job from a new process."""
    with JobQueue(address) as queue:
        return queue.submit(Job("one", job))


@pytest.fixture
def other(address: str) -> Iterator[Program]:
    with closing(Program(address)) as program:
        yield program


@pytest.fixture
def migrating(address: str, other: Program) -> Iterator[threading.Thread]:
    """A thread that migrates the table of an application, and waits for this test."""
    other.execute(TABLE_OF_AN_APPLICATION)
    thread = threading.Thread(target=migrate_once, args=(address,))
    yield thread
    thread.join()


def migrate_once(address: str) -> None:
    with closing(new_connection(address)) as connection:
        migrate.apply(Database(lambda: connection))


def version(program: Program) -> int:
    return int(program.execute("SELECT max(version) FROM gigq_schema").fetchone()[0])


def test_of_two_processes_that_open_an_empty_database_one_makes_the_schema() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        for _ in range(ROUNDS):
            with postgres.fresh_schema(f"test_{new_id().replace('-', '')}") as address:
                ids = processes.map(open_and_submit, [address] * 2, chunksize=1)
                with JobQueue(address) as queue:
                    assert {found["id"] for found in queue.list_jobs()} == set(ids)


def test_others_use_a_table_while_a_migration_waits_for_it(
    address: str, other: Program, migrating: threading.Thread
) -> None:
    with psycopg.connect(address) as long:
        long.execute("SELECT * FROM jobs")
        migrating.start()
        for number in range(2):
            wait_until(lambda: other.execute(WAITING).fetchall())
            other.execute("SET lock_timeout = '20s'")
            other.execute(INSERT, (str(number),))
        assert migrating.is_alive()
    migrating.join()

    assert version(other) == schema_versions.latest(POSTGRES)
    assert other.execute("SELECT count(*), min(status) FROM jobs").fetchone() == (2, "pending")


def test_a_migration_that_gets_no_table_names_the_sessions_and_changes_nothing(
    address: str, other: Program
) -> None:
    other.execute(TABLE_OF_AN_APPLICATION)
    with psycopg.connect(address, application_name="report") as long:
        long.execute("SELECT * FROM jobs")
        database = stores.database_at(address)
        database.lock_timeout = 0.1
        with pytest.raises(StoreLocked, match=rf"{long.info.backend_pid} \(report\)"):
            migrate.apply(database)

    assert [row["name"] for row in database.all("table_names")] == ["jobs"]
    assert [row["name"] for row in database.all("columns_of_jobs")] == [*COLUMNS]


def test_a_migration_may_take_longer_than_the_role_allows_its_statements(address: str) -> None:
    limited = address.replace("options=", "options=-cstatement_timeout%3D1s%20")

    def sleep(session: Session) -> None:
        session.connection.execute("SELECT pg_sleep(1.2)")

    with closing(new_connection(limited)) as connection:
        online_migration.run(Database(lambda: connection), sleep)
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(1.2)")


def test_a_newer_schema_is_refused_and_left_alone(db: Database, address: str) -> None:
    with db.transaction(durable=True) as session:
        session.run("record_schema_version", {"version": 999, "now": session.now})

    with pytest.raises(SchemaTooNew, match=r"schema 999.* upgrade gigq here"):
        JobQueue(address)
    assert db.all("schema_version") == [{"version": 999}]


def test_no_schema_is_created_where_no_queue_may_begin(address: str) -> None:
    name = f"{address.rpartition('%3D')[2]}_missing"
    database = stores.database_at(postgres.with_option(postgres.server(), f"schema={name}"))

    with pytest.raises(NoQueue):
        migrate.apply(database, migrate.Begin.NEVER)
    assert database.all("named_schema", {"schema": name}) == []
