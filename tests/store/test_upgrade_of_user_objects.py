"""What a user has added to a file of GigQ 0.5.1 survives its upgrade, or the upgrade is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import insert, ran
from support.old_files import OldFile

from gigq.errors import UnsupportedStore
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.sqlite import connections
from gigq.store.verbs import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.only("sqlite")

ADDED = """
    ALTER TABLE jobs ADD COLUMN tenant TEXT NOT NULL DEFAULT 'a, (b' COLLATE NOCASE;
    ALTER TABLE jobs ADD COLUMN "odd ""name" BLOB CHECK ("odd ""name" <> 'no'); -- quoted
    ALTER TABLE jobs ADD COLUMN gigq_rank INTEGER GENERATED ALWAYS AS (priority * 2) VIRTUAL;
    ALTER TABLE job_executions ADD COLUMN host TEXT;
    CREATE UNIQUE INDEX jobs_tenant ON jobs (tenant, name);
    CREATE INDEX executions_host ON job_executions (host) WHERE host IS NOT NULL;
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY, job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE
    );
    CREATE TABLE audit (job TEXT, was TEXT, becomes TEXT);
    CREATE TRIGGER jobs_audit AFTER UPDATE OF status ON jobs BEGIN
        INSERT INTO audit VALUES (new.id, old.status, new.status);
    END;
    CREATE TRIGGER orders_done AFTER DELETE ON orders BEGIN
        UPDATE jobs SET description = 'ordered' WHERE id = old.job_id;
    END;
    CREATE VIEW open_orders AS
        SELECT o.id, j.name, j.tenant FROM orders o JOIN jobs j ON j.id = o.job_id
        WHERE j.status = 'pending';
    CREATE VIEW broken AS SELECT * FROM not_there;
"""


@pytest.fixture
def old(address: str) -> OldFile:
    return OldFile(address)


@pytest.fixture
def unopened(address: str) -> Iterator[Database]:
    yield Database(lambda: connections.open_connection(address))
    connections.close_connections()


@pytest.fixture
def with_foreign_keys(address: str) -> Iterator[Database]:
    def get_connection() -> Any:
        connection = connections.open_connection(address)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    yield Database(get_connection)
    connections.close_connections()


def script(old: OldFile, text: str) -> None:
    with closing(sqlite3.connect(old.path)) as connection:
        connection.executescript(text)


def rows(address: str, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(address)) as connection:
        return connection.execute(query).fetchall()


def fill(old: OldFile) -> None:
    old.job("first", tenant="acme", priority=4)
    old.job("second", status="completed")
    old.execution("e", "second", status="completed", host="h1")
    script(old, """UPDATE jobs SET "odd ""name" = x'ff00' WHERE id = 'first'""")
    script(old, "INSERT INTO orders VALUES (7, 'first'), (8, 'second')")


def test_columns_and_their_values_come_along(old: OldFile, unopened: Database) -> None:
    script(old, ADDED)
    fill(old)
    migrate.apply(unopened)
    first, second = jobs.get(unopened, "first") or {}, jobs.get(unopened, "second") or {}

    assert (first["tenant"], first['odd "name'], first["gigq_rank"]) == ("acme", b"\xff\x00", 8)
    assert (second["tenant"], second['odd "name']) == ("a, (b", None)
    assert [row["host"] for row in jobs.executions(unopened, "second")] == ["h1"]


def test_a_carried_column_keeps_its_default_its_collation_and_its_check(
    old: OldFile, unopened: Database, address: str
) -> None:
    script(old, ADDED)
    migrate.apply(unopened)
    insert(unopened, [{"id": "new", "name": "n", "function_module": "m", "function_name": "f"}])

    assert rows(address, "SELECT id FROM jobs WHERE tenant = 'A, (B'") == [("new",)]
    with (
        closing(sqlite3.connect(address)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="CHECK"),
    ):
        connection.execute("""UPDATE jobs SET "odd ""name" = 'no'""")


def test_indexes_triggers_and_views_are_as_they_were_written(
    old: OldFile, unopened: Database, address: str
) -> None:
    script(old, ADDED)
    fill(old)
    query = """
        SELECT name, sql FROM sqlite_master WHERE name IN ('jobs_tenant', 'executions_host',
        'jobs_audit', 'orders', 'audit', 'orders_done', 'open_orders', 'broken') ORDER BY name
    """
    before = rows(address, query)
    migrate.apply(unopened)

    assert len(before) == 8
    assert rows(address, query) == before
    assert rows(address, "SELECT * FROM open_orders") == [(7, "first", "acme")]


def test_triggers_fire_for_what_happens_later_and_not_for_the_upgrade(
    old: OldFile, unopened: Database, address: str
) -> None:
    script(old, ADDED)
    fill(old)
    migrate.apply(unopened)
    ran(unopened)
    script(old, "DELETE FROM orders")

    assert rows(address, "SELECT * FROM audit") == [
        ("first", "pending", "running"),
        ("first", "running", "completed"),
    ]
    assert rows(address, "SELECT description FROM jobs") == [("ordered",), ("ordered",)]


def test_a_foreign_key_of_another_table_still_points_to_jobs(
    old: OldFile, with_foreign_keys: Database, address: str
) -> None:
    script(old, ADDED)
    fill(old)
    migrate.apply(with_foreign_keys)
    before = rows(address, "SELECT id FROM orders")
    cleared = jobs.clear(with_foreign_keys)

    assert before == [(7,), (8,)]
    assert cleared == 1
    assert rows(address, "SELECT id FROM orders") == [(7,)]
    assert rows(address, "PRAGMA foreign_key_check") == []


def test_an_upgrade_in_a_transaction_that_enforces_foreign_keys_is_refused(
    old: OldFile, with_foreign_keys: Database, address: str
) -> None:
    script(old, ADDED)
    fill(old)
    with_foreign_keys._get_connection().execute("BEGIN")
    with pytest.raises(UnsupportedStore, match="in a transaction that enforces foreign keys"):
        migrate.apply(with_foreign_keys)

    assert rows(address, "SELECT id FROM orders") == [(7,), (8,)]
    assert rows(address, "SELECT count(*) FROM jobs") == [(2,)]


def test_rows_keep_their_numbers(old: OldFile, unopened: Database, address: str) -> None:
    for name in "abc":
        old.job(name)
    script(old, "DELETE FROM jobs WHERE id = 'b'; UPDATE jobs SET rowid = -5 WHERE id = 'a'")
    migrate.apply(unopened)

    assert rows(address, "SELECT rowid, id FROM jobs ORDER BY rowid") == [(-5, "a"), (3, "c")]


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("ALTER TABLE jobs ADD COLUMN Queue TEXT", "column jobs.Queue"),
        ("ALTER TABLE job_executions ADD COLUMN run TEXT", "column job_executions.run"),
        ("CREATE TABLE job_dependencies (a, b)", "table job_dependencies"),
        ("CREATE INDEX jobs_due ON jobs (name)", "index jobs_due"),
        ("CREATE VIEW gigq_schema AS SELECT 1", "view gigq_schema"),
    ],
)
def test_what_has_the_place_of_something_new_is_refused_before_anything_is_changed(
    old: OldFile, unopened: Database, address: str, added: str, named: str
) -> None:
    old.job("a")
    script(old, added)
    script(old, "CREATE TABLE mine (a); CREATE INDEX jobs_age ON jobs (created_at)")
    before = rows(address, "SELECT type, name, sql FROM sqlite_master ORDER BY rowid")
    with pytest.raises(UnsupportedStore, match="Nothing was changed") as refused:
        migrate.apply(unopened)

    with pytest.raises(UnsupportedStore) as looked:
        migrate.refuse_obstacles(unopened)

    assert f"{named} (" in str(refused.value)
    assert str(looked.value) == str(refused.value)
    assert "jobs_age" not in str(refused.value)
    assert rows(address, "SELECT type, name, sql FROM sqlite_master ORDER BY rowid") == before
    assert rows(address, "SELECT id FROM jobs") == [("a",)]


def test_everything_that_sqlite_cannot_add_is_in_one_list(address: str, unopened: Database) -> None:
    with closing(sqlite3.connect(address)) as connection:
        connection.executescript("""
            CREATE TABLE jobs (
                id TEXT PRIMARY KEY, name TEXT, function_name TEXT, function_module TEXT,
                params TEXT, status TEXT, attempts INTEGER, created_at TEXT, updated_at TEXT,
                ticket TEXT UNIQUE, twice INTEGER UNIQUE
            );
            INSERT INTO jobs (id) VALUES ('a');
        """)
    with pytest.raises(UnsupportedStore) as refused:
        migrate.apply(unopened)

    assert "column jobs.ticket (" in str(refused.value)
    assert "column jobs.twice (" in str(refused.value)
    assert rows(address, "SELECT id FROM jobs") == [("a",)]
    assert rows(address, "SELECT count(*) FROM sqlite_master WHERE type = 'table'") == [(1,)]


def test_a_constraint_of_a_whole_table_is_refused(address: str, unopened: Database) -> None:
    with closing(sqlite3.connect(address)) as connection:
        connection.executescript("""
            CREATE TABLE jobs (
                id TEXT, name TEXT, function_name TEXT, function_module TEXT, params TEXT,
                status TEXT, attempts INTEGER, PRIMARY KEY (id), CHECK (attempts < 9)
            ) WITHOUT ROWID;
        """)
    with pytest.raises(UnsupportedStore) as refused:
        migrate.apply(unopened)

    assert "constraint of table jobs (CHECK (attempts < 9))" in str(refused.value)
    assert "table jobs (it is WITHOUT ROWID)" in str(refused.value)
