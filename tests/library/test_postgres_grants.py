"""The rights of the submitter, the worker and the administrator, each as a role of the server."""

from __future__ import annotations

import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from support import postgres
from support.waiting import wait_until

from gigq import Job, JobQueue, Retry, Worker
from gigq.errors import StoreUnavailable
from gigq.model.ids import new_id
from gigq.store import migration_script
from gigq.store.postgres.address import full_address
from gigq.store.statements import SQL
from gigq.store.verbs import live_output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLES = ("submitter", "worker", "administrator")


def add(a: int, b: int) -> int:
    return a + b


def fail() -> None:
    raise ValueError("no")


@pytest.fixture
def schema() -> Iterator[str]:
    """The name of a schema that does not exist yet, in a server with a role of each kind."""
    name = f"test_{new_id().replace('-', '')}"
    roles = [name_of(role, name) for role in ROLES]
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        for role in roles:
            connection.execute(f"CREATE ROLE {role} LOGIN")
        yield name
        postgres.drop_schema(connection, name)
        for role in roles:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def name_of(role: str, schema: str) -> str:
    return f"{role}_{schema}"


def grant(role: str, schema: str) -> str:
    """Run the script of a role; its address."""
    name = name_of(role, schema)
    postgres.psql(postgres.server(), SQL / "grants" / f"{role}.sql", role=name, schema=schema)
    return full_address(postgres.as_role(postgres.server(), name), schema=schema)


@pytest.fixture
def administrator(schema: str) -> str:
    """The address of the administrator, who has created a queue."""
    address = grant("administrator", schema)
    JobQueue(address).close()
    return address


@pytest.fixture
def worker(administrator: str, schema: str) -> Iterator[Worker]:
    found = Worker(grant("worker", schema))
    yield found
    found.close()


@pytest.fixture
def submitter(administrator: str, schema: str) -> Iterator[JobQueue]:
    with JobQueue(grant("submitter", schema)) as queue:
        yield queue


@pytest.fixture
def sql_of_submitter(submitter: JobQueue, schema: str) -> Iterator[psycopg.Connection]:
    address = postgres.as_role(postgres.server(), name_of("submitter", schema))
    options = f"options=-csearch_path%3D{schema}"
    with closing(
        psycopg.connect(postgres.with_option(address, options), autocommit=True)
    ) as connection:
        yield connection


def refused(connection: psycopg.Connection, statement: str) -> bool:
    try:
        connection.execute(statement.encode())
    except InsufficientPrivilege:
        return True
    return False


@pytest.mark.parametrize("role", ["submitter", "worker"])
def test_a_script_that_runs_before_the_migration_fails(schema: str, role: str) -> None:
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    script = SQL / "grants" / f"{role}.sql"
    values = {"role": name_of(role, schema), "schema": schema}

    done = subprocess.run(
        postgres.psql_command(postgres.server(), script, **values), capture_output=True, text=True
    )

    assert done.returncode == 3
    assert done.stderr.count("ERROR:") == 1
    assert f'"{schema}.jobs" does not exist' in done.stderr


def test_the_submitter_submits_looks_and_cancels(submitter: JobQueue, worker: Worker) -> None:
    parent = submitter.submit(Job("parent", add, {"a": 1, "b": 2}))
    child = submitter.submit(Job("child", add, {"a": 1, "b": 2}, dependencies=[parent]))
    later = submitter.submit(Job("later", add, {"a": 1, "b": 2}, delay="1h", expires_in="2h"))
    submitter.submit_many([Job("one", add, {"a": 1, "b": 2}), Job("two", add, {"a": 1, "b": 2})])
    assert submitter.cancel(later)
    assert submitter.cancel(parent)

    assert submitter.get_status(child)["status"] == "failed"
    assert submitter.submit(Job("late", add, {"a": 1, "b": 2}, dependencies=[parent]))
    assert len(submitter.list_jobs()) == 6
    assert submitter.stats()["pending"] == 2
    worker.work_off(lambda: True)
    done = submitter.submit(Job("sum", add, {"a": 1, "b": 2}))
    worker.work_off(lambda: True)
    assert submitter.get_result(done) == 3


def test_the_submitter_asks_the_worker_to_cancel_a_running_job(
    submitter: JobQueue, worker: Worker
) -> None:
    job_id = submitter.submit(Job("sum", add, {"a": 1, "b": 2}))
    claim = worker._claim_job()
    assert claim is not None

    assert submitter.cancel(job_id, running=True)
    wait_until(lambda: worker._store.is_cancel_requested(claim["execution_id"]))


def test_the_submitter_requests_the_output_of_a_running_job(
    submitter: JobQueue, worker: Worker
) -> None:
    submitter.submit(Job("sum", add, {"a": 1, "b": 2}))
    claim = worker._claim_job()
    assert claim is not None
    execution = claim["execution_id"]

    for _ in range(2):
        assert live_output.request(submitter._database, execution)
    database = worker._store.database
    worker_run = live_output.state(database, execution)["run"]
    assert live_output.answer(database, execution, worker_run, live_output.STORED)
    assert live_output.state(submitter._database, execution)["answer"] == live_output.STORED
    assert live_output.parts(submitter._database, execution, 0) == []
    assert live_output.forget_expired(database) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM jobs",
        "TRUNCATE jobs",
        "UPDATE jobs SET params = '{}'",
        "UPDATE jobs SET function_name = 'remove', function_module = 'os'",
        "UPDATE jobs SET result = '1'",
        "UPDATE jobs SET worker_id = 'me', execution_id = '1', attempts = 1",
        "INSERT INTO job_executions (id, job_id, status, started_at) VALUES ('1', '1', '1', '1')",
        "UPDATE job_executions SET output = ''",
        "DELETE FROM job_executions",
        "UPDATE gigq_output_requests SET answer = 'stored'",
        "DELETE FROM gigq_output_requests",
        "INSERT INTO gigq_output_parts VALUES ('1', 0, '')",
        "UPDATE gigq_schema SET version = 99",
        "UPDATE gigq_store SET id = ''",
        "CREATE TABLE others (id TEXT)",
        "ALTER TABLE jobs ADD COLUMN more TEXT",
    ],
)
def test_the_submitter_cannot_do_more(sql_of_submitter: psycopg.Connection, statement: str) -> None:
    assert refused(sql_of_submitter, statement)


def test_a_verb_that_the_submitter_may_not_use_names_the_script(submitter: JobQueue) -> None:
    job_id = submitter.submit(Job("sum", add, {"a": 1, "b": 2}))
    submitter.cancel(job_id)

    with pytest.raises(StoreUnavailable, match=r"permission denied for table jobs.*worker\.sql"):
        submitter.requeue_job(job_id)
    assert submitter.get_status(job_id)["status"] == "cancelled"


def test_the_worker_does_all_that_a_daemon_does(worker: Worker) -> None:
    with JobQueue(worker.db_path) as queue:
        good = queue.submit(Job("sum", add, {"a": 1, "b": 2}))
        child = queue.submit(Job("child", add, {"a": 1, "b": 2}, dependencies=[good]))
        bad = queue.submit(Job("fails", fail, retry=Retry(first=0), max_attempts=2))
        worker.work_off(lambda: True)
        assert queue.stats()["completed"] == 2
        assert queue.get_status(bad)["status"] == "failed"
        assert queue.get_result(child) == 3

        assert queue.requeue_job(bad)
        assert queue.cancel(bad)
        queue.submit(Job("expires", add, {"a": 1, "b": 2}, expires_in=0.001))
        worker._check_for_timeouts()
        worker.work_off(lambda: True)
        assert queue.clear_completed() == 4
        assert queue.list_jobs() == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE others (id TEXT)",
        "ALTER TABLE jobs ADD COLUMN more TEXT",
        "DROP TABLE jobs",
        "TRUNCATE jobs",
        "UPDATE gigq_schema SET version = 99",
    ],
)
def test_the_worker_cannot_change_the_tables(worker: Worker, statement: str) -> None:
    assert refused(worker._store.backend.connection(), statement)


def test_the_rights_cover_every_table_of_the_queue(administrator: str) -> None:
    with JobQueue(administrator) as queue:
        tables = {row["name"] for row in queue._database.all("table_names")}

    for role in ROLES:
        script = (SQL / "grants" / f"{role}.sql").read_text()
        assert [table for table in tables if table not in script] == []


def test_a_worker_waits_for_the_administrator_to_create_the_queue(schema: str) -> None:
    role = postgres.as_role(postgres.server(), name_of("worker", schema))

    with pytest.raises(StoreUnavailable, match=r"administrator\.sql"):
        JobQueue(full_address(role, schema=schema))


def test_the_script_of_all_migrations_needs_no_other_right_than_the_administrators(
    schema: str, tmp_path: Path
) -> None:
    address = grant("administrator", schema)
    script = tmp_path / "migrate.sql"
    script.write_text(migration_script.whole(schema))

    postgres.psql(postgres.as_role(postgres.server(), name_of("administrator", schema)), script)

    with JobQueue(address) as queue:
        assert queue.stats()["total"] == 0


def test_the_administrator_owns_a_queue_that_another_role_has_created(schema: str) -> None:
    JobQueue(full_address(postgres.server(), schema=schema)).close()
    grant("administrator", schema)

    with psycopg.connect(postgres.server()) as connection:
        owners = connection.execute(
            "SELECT tableowner FROM pg_tables WHERE schemaname = %(schema)s UNION "
            "SELECT pg_get_userbyid(proowner) FROM pg_proc "
            "WHERE pronamespace = to_regnamespace(%(schema)s)",
            {"schema": schema},
        ).fetchall()
    assert owners == [(name_of("administrator", schema),)]
