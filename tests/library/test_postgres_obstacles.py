"""Databases on a server that cannot hold a queue are refused in a sentence with the remedy."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import postgres

from gigq import Job, JobQueue
from gigq.errors import StoreUnavailable, UnsupportedStore
from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.postgres.connections import close_connections, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = "RETURNS TEXT LANGUAGE sql AS $$ SELECT 'x' $$"


@pytest.fixture
def name() -> str:
    return f"test_{new_id().replace('-', '')}"


@pytest.fixture
def address(name: str) -> Iterator[str]:
    with postgres.fresh_schema(name):
        found = postgres.with_option(postgres.server(), f"schema={name}")
        yield found
        close_connections(found)


def administer(statement: str) -> None:
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoded(request: pytest.FixtureRequest, name: str) -> Iterator[tuple[str, str]]:
    """A database in another encoding, and its address."""
    administer(
        f"CREATE DATABASE {name} ENCODING '{request.param}' TEMPLATE template0 "
        "LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    address = postgres.server().replace("/postgres?", f"/{name}?")
    yield request.param, address
    close_connections(address)
    administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("initialize", [True, False])
def test_a_database_that_cannot_store_every_text_is_refused(encoded, name, initialize):
    encoding, address = encoded
    with pytest.raises(UnsupportedStore) as refused:
        JobQueue(address, initialize=initialize).stats()

    said = str(refused.value)
    assert said.startswith(f"postgresql://postgres@/{name}?host=/")
    assert f"is encoded in {encoding}, and a queue needs UTF8; create a database" in said
    assert "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0" in said


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE jobs (number INTEGER PRIMARY KEY, title TEXT)",
        "CREATE TABLE jobs (title TEXT)",
        "CREATE TABLE jobs (id TEXT, name TEXT)",
        "CREATE TABLE jobs (id SERIAL PRIMARY KEY, name TEXT)",
        "CREATE TABLE job_executions (number INTEGER)",
        "CREATE TABLE job_dependencies (number INTEGER)",
        "CREATE TABLE gigq_store (id TEXT, number INTEGER)",
        "CREATE TABLE gigq_schema (number INTEGER)",
        "CREATE TABLE gigq_schema (version TEXT)",
        "CREATE TABLE gigq_schema AS SELECT 1 AS version",
        "CREATE VIEW gigq_schema AS SELECT 1 AS version",
        "CREATE VIEW jobs AS SELECT 'x'::text AS id",
        "CREATE SEQUENCE jobs",
        "CREATE TYPE jobs AS ENUM ('x')",
        f"CREATE FUNCTION gigq_now() {FUNCTION}",
        "CREATE TABLE other (number INTEGER); CREATE INDEX jobs_due ON other (number)",
    ],
)
def test_objects_of_another_program_with_the_same_names_stay(address, name, statement):
    administer(f"SET search_path = {name}; {statement}")
    before = objects_in(name)
    with pytest.raises(UnsupportedStore, match=r"\?schema=") as refused:
        JobQueue(address)
    with pytest.raises(UnsupportedStore) as foreseen:
        migrate.refuse_obstacles(Database(lambda: open_connection(address)))

    assert str(foreseen.value) == str(refused.value)
    assert objects_in(name) == before
    own = f"{name}_own"
    with postgres.fresh_schema(own):
        beside = address.replace(f"schema={name}", f"schema={own}")
        with JobQueue(beside) as queue:
            queue.submit(Job("job", os.getpid))


@pytest.mark.parametrize("tables", ["", "CREATE TABLE jobs (id TEXT PRIMARY KEY, name TEXT)"])
def test_a_look_for_obstacles_changes_nothing(address, name, tables):
    administer(f"SET search_path = {name}; {tables}")
    before = objects_in(name)
    migrate.refuse_obstacles(Database(lambda: open_connection(address)))

    assert objects_in(name) == before


def objects_in(schema: str) -> list[tuple[str, str, int]]:
    """The relations and columns of a schema, and its functions."""
    columns = f"""SELECT relname, relkind::text, relnatts::integer FROM pg_class
        WHERE relnamespace = '{schema}'::regnamespace
        UNION ALL SELECT proname, 'function', pronargs::integer FROM pg_proc
        WHERE pronamespace = '{schema}'::regnamespace ORDER BY 1, 2"""
    with psycopg.connect(postgres.server()) as connection:
        return connection.execute(columns).fetchall()


@pytest.fixture(params=["''", "missing"], ids=["empty", "missing"])
def without_path(request: pytest.FixtureRequest, name: str) -> Iterator[str]:
    """The address of a role whose search_path names no schema."""
    administer(f"CREATE ROLE {name} LOGIN; ALTER ROLE {name} SET search_path = {request.param}")
    administer(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
    address = postgres.as_role(postgres.server(), name)
    yield address
    close_connections(address)
    administer(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize("initialize", [True, False])
def test_a_role_without_a_schema_learns_how_to_name_one(without_path, name, initialize):
    with pytest.raises(UnsupportedStore) as refused:
        JobQueue(without_path, initialize=initialize).stats()

    assert "the search_path of the role is " in str(refused.value)
    assert "name one with ?schema=NAME in the address" in str(refused.value)
    named = postgres.with_option(without_path, f"schema={name}")
    with JobQueue(named) as queue:
        queue.submit(Job("job", os.getpid))
    close_connections(named)


def test_the_address_in_a_message_can_be_used_as_it_is(address):
    with JobQueue(address) as queue:
        queue.submit(Job("job", os.getpid))
        connection = queue._get_connection()
        connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(StoreUnavailable) as refused:
            queue.submit(Job("job", os.getpid))
    shown = str(refused.value).partition(": ")[0]

    with closing(JobQueue(shown, initialize=False)) as again:
        assert again.stats()["total"] == 1
