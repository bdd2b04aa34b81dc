"""What settings and rights of a PostgreSQL server broke elsewhere, from public bug reports."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres
from support.postgres_roles import role as role_in_schema
from support.postgres_workers import all_completed, jobs_named, troubles, working
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.errors import StoreUnavailable, UnsupportedStore
from gigq.model.ids import new_id
from gigq.store.backend import backend_of
from gigq.store.doctor.server_checks import judge
from gigq.store.doctor.server_inspection import gather
from gigq.store.postgres.connections import close_connections

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAITING = """SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE usename = %s AND locktype = 'advisory' AND NOT granted
        AND clock_timestamp() - query_start > interval '2 s'"""
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE usename = %s AND application_name = %s"


def administer(statement: str) -> None:
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(statement)


def rows(statement: str, *values: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(postgres.server()) as connection:
        return connection.execute(statement, values).fetchall()


@contextmanager
def role_with_schema(schema: str, name: str) -> Iterator[str]:
    """The address of a role whose search path is a schema of its own."""
    administer(
        f'CREATE ROLE "{name}" LOGIN; CREATE SCHEMA "{schema}" AUTHORIZATION "{name}"; '
        f"""ALTER ROLE "{name}" SET search_path = '{schema}'"""
    )
    address = postgres.as_role(postgres.server(), name)
    try:
        yield address
    finally:
        close_connections(address)
        administer(f'DROP OWNED BY "{name}" CASCADE; DROP ROLE "{name}"')


@pytest.fixture
def name() -> str:
    return f"role_{new_id().replace('-', '')}"


@pytest.fixture
def address(name: str) -> Iterator[str]:
    with role_with_schema(name, name) as found:
        yield found


@pytest.mark.fault("M1")
def test_a_session_that_was_read_only_is_replaced_when_writes_are_allowed(
    address: str, name: str
) -> None:
    """goldsky-io/streamling#65: after a failover the pool kept sessions that were read-only."""
    jobs = jobs_named(name, 3)
    with troubles() as refused, JobQueue(address) as queue:
        queue.submit_many(jobs[:2])
        queue.close()
        administer(f"ALTER ROLE {name} SET default_transaction_read_only = on")
        with pytest.raises(StoreUnavailable, match="read-only"):
            queue.submit(jobs[2])
        with working(address, 1):
            wait_until(lambda: refused)
            administer(f"ALTER ROLE {name} RESET default_transaction_read_only")
            queue.submit(jobs[2])
            all_completed(queue, 3)


def test_a_session_that_found_no_tables_is_replaced_after_a_change_of_the_search_path(
    address: str, name: str
) -> None:
    first, second = jobs_named(name, 2)
    with troubles() as refused, JobQueue(address) as queue, working(address, 1):
        queue.submit(first)
        all_completed(queue, 1)
        administer(f"ALTER ROLE {name} SET search_path = absent")
        rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", name)
        wait_until(lambda: any("the search_path is another one" in text for text in refused))
        with pytest.raises(UnsupportedStore, match="name one with \\?schema=NAME"):
            JobQueue(address)

        administer(f"ALTER ROLE {name} SET search_path = {name}")
        queue.submit(second)
        all_completed(queue, 2)


def changes_its_session(address: str, change: str) -> None:
    """A job that changes a setting on the connection of its worker."""
    JobQueue(address, initialize=False)._get_connection().execute(change)


def settings_of_session(address: str) -> list[str]:
    """A job that returns the settings of its worker's session."""
    connection = JobQueue(address, initialize=False)._get_connection()
    names = ["search_path", "role", "statement_timeout", "default_transaction_read_only"]
    asked = ", ".join(f"current_setting('{name}')" for name in [*names, "session_authorization"])
    row = connection.execute(f"SELECT {asked}").fetchone()
    assert row is not None
    return list(row)


@pytest.mark.parametrize(
    "change",
    [
        "SET search_path = pg_catalog",
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SET statement_timeout = 1",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ],
)
def test_settings_that_a_job_leaves_on_the_connection_of_its_worker_are_undone(
    name: str, change: str
) -> None:
    with postgres.fresh_schema(name):
        address = postgres.with_option(postgres.server(), f"schema={name}")
        with troubles() as refused, JobQueue(address) as queue:
            looks = Job("looks", settings_of_session, {"address": address})
            changes = Job("changes", changes_its_session, {"address": address, "change": change})
            again = Job("again", settings_of_session, {"address": address})
            queue.submit_many([looks, changes, again])
            with working(address, 1):
                all_completed(queue, 3)
            assert queue.get_result(looks.id)[2] == "1min"
            assert queue.get_result(again.id) == queue.get_result(looks.id)
            assert refused == []
            queue.close()


@pytest.mark.fault("M2")
@pytest.mark.parametrize("schema", ["Shop", "two words", "user", "é" * 31])
def test_a_schema_whose_name_needs_quotes(name: str, schema: str) -> None:
    """riverqueue/river#1170, timgit/pg-boss#859: names of schemas were not quoted everywhere."""
    role = name.capitalize()
    with role_with_schema(schema, role) as address, JobQueue(address) as queue:
        job_id = queue.submit(Job("job", os.getpid))
        findings = judge(gather(address))
        assert [one.found for one in findings if one.severity == "problem"] == []
        assert any(f'GRANT pg_read_all_stats TO "{role}"' in (one.remedy or "") for one in findings)
        with working(address, 1):
            wait_until(lambda: queue.get_status(job_id)["status"] == "completed")


@pytest.mark.fault("M3")
@pytest.mark.parametrize(
    "table", ["jobs", "job_executions", "job_dependencies", "gigq_schema", "gigq_store"]
)
def test_a_table_whose_rows_are_hidden_from_the_role_is_not_taken_for_an_empty_one(
    name: str, table: str
) -> None:
    """graphile/worker#25, TeamWarp/effect-mq#9: with row-level security no job was found."""
    with postgres.fresh_schema(name) as owner:
        with JobQueue(owner) as queue:
            queue.submit(Job("job", os.getpid))
        with role_in_schema(owner, "ALL ON ALL TABLES IN SCHEMA {schema}") as address:
            rows_are_hidden(name, table, address)
        close_connections(owner)


def test_a_worker_sees_that_the_rows_are_hidden_while_it_runs(name: str) -> None:
    first, second = jobs_named(name, 2)
    with postgres.fresh_schema(name) as owner, JobQueue(owner) as queue:
        with role_in_schema(owner, "ALL ON ALL TABLES IN SCHEMA {schema}") as address:
            with troubles() as refused, working(address, 1):
                queue.submit(first)
                all_completed(queue, 1)
                administer(f"ALTER TABLE {name}.jobs ENABLE ROW LEVEL SECURITY")
                queue.submit(second)
                wait_until(lambda: any("hides all rows of jobs" in text for text in refused))

                administer(f"ALTER TABLE {name}.jobs DISABLE ROW LEVEL SECURITY")
                all_completed(queue, 2)
            close_connections(address)
        close_connections(owner)


def rows_are_hidden(schema: str, table: str, address: str) -> None:
    administer(f"SET search_path = {schema}; ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    hides = f"row-level security hides all rows of {table} from"
    for opened in (JobQueue, lambda address: Worker(address).process_one()):
        with pytest.raises(StoreUnavailable, match=hides):
            opened(address)
    assert any(one.severity == "problem" and hides in one.found for one in judge(gather(address)))
    administer(f"SET search_path = {schema}; CREATE POLICY every_row ON {table} USING (true)")
    assert Worker(address).process_one()
    assert not any(hides in one.found for one in judge(gather(address)))
    close_connections(address)


@pytest.mark.fault("M4")
def test_a_schema_with_the_name_of_the_role_does_not_get_a_second_queue(name: str) -> None:
    """transact-rs/sqlx#3523: a new schema of that name came before the one with the tables."""
    administer(f"CREATE ROLE {name} LOGIN")
    with postgres.fresh_database() as base, psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
        address = postgres.as_role(base, name)
        with JobQueue(address) as queue:
            job_id = queue.submit(Job("job", os.getpid))
        close_connections(address)
        admin.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")

        for opened in (JobQueue, lambda address: Worker(address).process_one()):
            with pytest.raises(
                UnsupportedStore, match=r"the queue is in public; add \?schema=public"
            ):
                opened(address)
        close_connections(address)
        named = {schema: f"{address}&schema={schema}" for schema in ("public", name)}
        assert Worker(named["public"]).process_one()
        with JobQueue(named["public"]) as queue, JobQueue(named[name]) as other:
            assert queue.get_status(job_id)["status"] == "completed"
            assert other.stats()["total"] == 0
        for one in named.values():
            close_connections(one)
    administer(f"DROP ROLE {name}")


@pytest.mark.fault("M5")
@pytest.mark.parametrize(
    "setting",
    [
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'iso_8601'",
        "standard_conforming_strings = off",
        "array_nulls = off",
        "transform_null_equals = on",
        "client_encoding = 'LATIN1'",
        "default_transaction_deferrable = on",
    ],
)
def test_a_setting_that_changes_how_text_is_read_changes_no_value(
    address: str, name: str, setting: str
) -> None:
    """janbjorge/pgqueuer#807, graphile/graphile-engine#193: values followed the role."""
    results = []
    for change in ("RESET ALL", f"SET {setting}"):
        administer(f"ALTER ROLE {name} {change}; ALTER ROLE {name} SET search_path = {name}")
        with JobQueue(address) as queue, psycopg.connect(address) as other:
            results.append(values_of(queue, address))
            notices: list[object] = []
            other.add_notice_handler(notices.append)
            ids = other.execute("SELECT gigq_ids(%s)", ('["a", "b"]',)).fetchone()
            assert (ids, notices) == ((["a", "b"],), [])
        close_connections(address)

    assert results[0] == results[1]


def values_of(queue: JobQueue, address: str) -> list[object]:
    """What a queue has stored of two jobs, one with a delay and one that runs after another."""
    parent = Job("日本 é", os.getpid, timeout=0.1 + 0.2, description="a \\ 'b'")
    child = Job("child", os.getpid, dependencies=[parent.id], queue="NULL")
    later = Job("later", os.getpid, delay=3600.25)
    queue.submit_many([parent, child, later])
    worker = Worker(address)
    while worker.process_one():
        pass
    found = [queue.get_status(job.id) for job in (parent, child, later)]
    waits = datetime.fromisoformat(found[2]["retry_after"]) - datetime.now(UTC)
    kept = ("name", "status", "queue", "timeout", "description", "error", "workflow", "unmet")
    return [
        [{name: row[name] for name in kept} for row in found],
        timedelta(minutes=50) < waits < timedelta(minutes=70),
    ]


@pytest.mark.fault("M6")
def test_sessions_that_the_server_ends_when_they_are_idle(address: str, name: str) -> None:
    """alash3al/redix#43, brianc/node-postgres#2718: the first use after the end of one failed."""
    administer(f"ALTER ROLE {name} SET idle_session_timeout = 1000")
    (first, second) = jobs_named(name, 2)
    with JobQueue(address) as queue:
        queue.submit(first)
        wait_until(lambda: not rows(_SESSIONS, name, "gigq"))
        queue.submit(second)
        slow = queue.submit(Job("slow", until_no_session, {"role": name}))
        with working(address, 1):
            all_completed(queue, 3)
        assert len(queue.get_status(slow)["executions"]) == 1


def until_no_session(role: str) -> None:
    """A job that takes longer than the session of its worker may be idle."""
    wait_until(lambda: not rows(_SESSIONS, role, "gigq worker"))


@pytest.mark.fault("M7")
def test_a_lock_timeout_of_the_role_does_not_end_the_wait_for_another_migration(
    address: str, name: str
) -> None:
    """n8n-io/n8n#34685: an instance ended while another one held the lock of the migration."""
    administer(
        f"ALTER ROLE {name} SET lock_timeout = 1; ALTER ROLE {name} SET statement_timeout = 1500"
    )
    with psycopg.connect(address) as other, ThreadPoolExecutor() as threads:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtext('gigq schema of ' || current_schema()))"
        )
        opened = threads.submit(lambda: JobQueue(address).stats())
        wait_until(lambda: rows(_WAITING, name))
        other.commit()
        assert opened.result()["total"] == 0


@pytest.mark.fault("M8")
def test_names_of_queues_that_are_longer_than_a_notification_may_be(address: str) -> None:
    """saurabhnanda/odd-jobs#42, ansible/awx#12999: a long payload failed the insertion."""
    watch = backend_of(address).queue_watch()
    names = [f"{number}-{'é' * 250}" for number in range(16)]
    with JobQueue(address) as queue:
        watch.renew()
        wait_until(lambda: watch.take() is None, why=watch.problem or "")
        queue.submit_many([Job("job", os.getpid, queue=name) for name in names])
        wait_until(lambda: watch.take() is None)
        queue.submit(Job("job", os.getpid, queue="mail"))
        wait_until(lambda: watch.take() == {"mail"})
    watch.close()
