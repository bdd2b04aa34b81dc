"""The schema, the roles and the limits of the connections to a PostgreSQL database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres

from gigq import Job, JobQueue, Worker
from gigq.errors import SchemaTooNew, StoreLocked, StoreUnavailable, UnsupportedStore
from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.dialect import POSTGRES, dialect_of
from gigq.store.postgres.address import full_address
from gigq.store.postgres.connections import new_connection

if TYPE_CHECKING:
    from collections.abc import Iterator


def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def new_name() -> Iterator[str]:
    """A name for a schema, which is dropped at the end."""
    name = f"test_{new_id().replace('-', '')}"
    yield name
    postgres.drop_schema(postgres.administrator(), name)


@pytest.fixture
def role(new_name: str) -> Iterator[str]:
    """A role without rights, which may log in."""
    name = f"role_{new_name}"
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        yield name
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_role(role: str) -> str:
    return postgres.with_option(postgres.server(), f"user={role}")


def setting(address: str, name: str) -> str:
    with closing(new_connection(address)) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def test_a_queue_creates_the_schema_that_its_address_names(new_name: str) -> None:
    with JobQueue(full_address(postgres.server(), schema=new_name)) as queue:
        job_id = queue.submit(Job("double", double, {"number": 4}))
        worker = Worker(queue.db_path)
        worker.work_off(lambda: True)
        worker.close()
        assert queue.get_result(job_id) == 8

    with psycopg.connect(postgres.server()) as connection:
        assert connection.execute(f"SELECT id FROM {new_name}.jobs").fetchall() == [(job_id,)]


def test_queues_in_two_schemas_of_one_database_are_apart(new_name: str) -> None:
    with (
        postgres.fresh_schema(f"{new_name}_2"),
        JobQueue(full_address(postgres.server(), schema=new_name)) as first,
        JobQueue(full_address(postgres.server(), schema=f"{new_name}_2")) as second,
    ):
        job_id = first.submit(Job("double", double, {"number": 4}))

        assert [job["id"] for job in first.list_jobs()] == [job_id]
        assert second.list_jobs() == []
        first.close()
        second.close()


def test_another_program_changes_parents_without_the_schema_in_its_path(new_name: str) -> None:
    with JobQueue(full_address(postgres.server(), schema=new_name)) as queue:
        parent = queue.submit(Job("parent", double, {"number": 4}))
        child = queue.submit(Job("child", double, {"number": 4}, dependencies=[parent]))
        with psycopg.connect(postgres.server()) as connection:
            connection.execute(
                f"UPDATE {new_name}.jobs SET dependencies = '[]' WHERE id = %s", (child,)
            )
            left = connection.execute(f"SELECT job_id FROM {new_name}.job_dependencies").fetchall()

    assert left == []


def test_a_role_that_may_not_create_the_schema_is_told_who_may(new_name: str, role: str) -> None:
    address = full_address(as_role(role), schema=new_name)

    with pytest.raises(StoreUnavailable, match=r"may not create .* administrator\.sql") as caught:
        JobQueue(address)
    assert "permission denied for database" in str(caught.value)


def test_a_role_that_may_not_change_tables_opens_a_queue_that_is_up_to_date(
    new_name: str, role: str
) -> None:
    JobQueue(full_address(postgres.server(), schema=new_name)).close()
    with psycopg.connect(postgres.server()) as connection:
        connection.execute(
            f"GRANT USAGE ON SCHEMA {new_name} TO {role};"
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {new_name} TO {role}"
        )

    with JobQueue(full_address(as_role(role), schema=new_name)) as queue:
        assert queue.list_jobs() == []
        with pytest.raises(StoreUnavailable, match=r"lacks a right.* submitter\.sql"):
            queue.submit(Job("double", double, {"number": 4}))


def test_a_misspelt_option_is_refused_before_a_connection_is_opened() -> None:
    with pytest.raises(UnsupportedStore, match="unknown option 'shema'; do you mean 'schema'"):
        JobQueue("postgresql://127.0.0.1:1/shop?shema=jobs")


def test_the_server_lists_the_queue_and_the_worker_by_name(new_name: str) -> None:
    address = full_address(postgres.server(), schema=new_name)
    worker = Worker(address)
    worker.process_one()
    with JobQueue(f"{address}&application_name={new_name}") as queue:
        assert queue.stats()["pending"] == 0

        pids = {
            connection.info.backend_pid: name
            for connection, name in (
                (worker._store.backend.connection(), "gigq worker"),
                (queue._get_connection(), new_name),
            )
        }
        with psycopg.connect(postgres.server()) as connection:
            found = connection.execute(
                "SELECT pid, application_name FROM pg_stat_activity WHERE pid = ANY(%s)",
                (list(pids),),
            ).fetchall()
    worker.close()

    assert dict(found) == pids


def test_a_connection_limits_the_time_of_its_statements() -> None:
    assert setting(postgres.server(), "statement_timeout") == "1min"
    assert setting(postgres.server(), "lock_timeout") == "30s"
    assert setting(postgres.server(), "idle_in_transaction_session_timeout") == "20s"


def test_a_limit_of_the_role_stays(role: str) -> None:
    with psycopg.connect(postgres.server()) as connection:
        connection.execute(f"ALTER ROLE {role} SET statement_timeout = '7s'")
        connection.execute(f"ALTER ROLE {role} SET lock_timeout = '7s'")

    assert setting(as_role(role), "statement_timeout") == "7s"
    assert setting(as_role(role), "lock_timeout") == "30s"  # as in a transaction of gigq


@pytest.mark.parametrize("is_own", [True, False])
def test_a_read_waits_for_a_lock_as_long_as_it_may_and_leaves_the_limit_of_the_session(
    new_name: str, is_own: bool
) -> None:
    address = full_address(postgres.server(), schema=new_name)
    with (
        closing(new_connection(address)) as own,
        psycopg.connect(postgres.server(), autocommit=True) as applications,
        psycopg.connect(postgres.server()) as holding,
    ):
        migrate.apply(Database(lambda: own))
        for connection in (applications, holding):
            connection.execute(f"SET search_path = {new_name}")
        reading = own if is_own else applications
        limit = setting_of(reading)
        holding.execute("LOCK TABLE gigq_store")
        with pytest.raises(StoreLocked):
            Database(lambda: reading, lock_timeout=0.05).one("store_id")

        assert setting_of(reading) == limit


def setting_of(connection: psycopg.Connection[Any]) -> str:
    (found,) = connection.execute("SHOW lock_timeout").fetchone() or ("",)
    return str(found)


def test_a_hung_process_loses_its_transaction_and_others_go_on(new_name: str) -> None:
    server = postgres.server()
    hanging = "options=-cidle_in_transaction_session_timeout%3D100"
    address = postgres.with_option(server, hanging)
    with (
        closing(new_connection(full_address(address, schema=new_name))) as hung,
        closing(new_connection(full_address(server, schema=new_name))) as other,
    ):
        database = Database(lambda: other)
        migrate.apply(database)
        hung.execute("BEGIN; LOCK TABLE jobs")
        with database.transaction(durable=True) as session:
            assert session.all("table_names") != []
            session.lock("jobs", {"ids": "[]"})


def test_a_subclass_of_the_driver_is_a_connection_to_postgresql() -> None:
    class Traced(psycopg.Connection):  # type: ignore[type-arg]
        """As an application makes one, in a module of its own."""

    Traced.__module__ = "shop.database"
    with Traced.connect(postgres.server()) as connection:
        assert dialect_of(connection) == POSTGRES


def test_the_remedy_for_a_newer_schema_names_no_file(new_name: str) -> None:
    address = full_address(postgres.server(), schema=new_name)
    with JobQueue(address):
        pass
    with closing(new_connection(address)) as connection:
        connection.execute("INSERT INTO gigq_schema VALUES (999, '2026-01-01')")

    with pytest.raises(SchemaTooNew, match="give this one a schema or database of its own"):
        JobQueue(address).get_statistics()
