"""A queue behind PgBouncer in transaction mode."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres
from support.pgbouncer import pooled
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker, Workflow, events, task
from gigq.model.ids import new_id
from gigq.store import online_migration
from gigq.store.database import Database
from gigq.store.postgres.address import full_address
from gigq.store.postgres.backend import PostgresBackend
from gigq.store.postgres.connections import new_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigq.store.session import Session

POOL_SIZE = 2
CLIENTS = 8
EACH = 25


@pytest.fixture(scope="module")
def pooler() -> Iterator[str]:
    with pooled("transaction", size=POOL_SIZE) as address:
        yield address


@pytest.fixture
def schema() -> Iterator[str]:
    name = f"test_{new_id().replace('-', '')}"
    with postgres.fresh_schema(name):
        yield name


@pytest.fixture
def polling(pooler: str, schema: str) -> str:
    """The address of a queue without a direct address."""
    return full_address(pooler, schema=schema, pooler=True)


@pytest.fixture
def address(pooler: str, schema: str) -> str:
    return full_address(pooler, schema=schema, pooler=True, direct=postgres.server())


@task()
def double(number: int) -> int:
    return 2 * number


@task()
def total(parent_results: dict[str, int]) -> int:
    return sum(parent_results.values())


@contextmanager
def pooled_schema(schema: str) -> Iterator[str]:
    """The address of a queue that does not declare its pooler, which no other test uses."""
    with pooled("transaction", schema=schema, size=POOL_SIZE) as address:
        yield address


@contextmanager
def heard() -> Iterator[list[dict[str, Any]]]:
    """The warnings about poolers in the block."""
    found: list[dict[str, Any]] = []
    end = events.subscribe(
        lambda name, fields: found.append(fields) if name == events.UNDECLARED_POOLER else None
    )
    try:
        yield found
    finally:
        end()


def in_threads(work: Callable[[int], object], number: int) -> None:
    """Call a function in several threads, each with a connection of its own."""
    failures: list[BaseException] = []

    def run(of: int) -> None:
        try:
            work(of)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=(one,)) for one in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_many_clients_share_few_sessions_and_lose_nothing(address: str) -> None:
    JobQueue(address).close()
    sessions: set[int] = set()
    all_connected = threading.Barrier(CLIENTS, timeout=60)

    def submit_and_work(client: int) -> None:
        with JobQueue(address) as queue:
            all_connected.wait()
            ids = [
                queue.submit(Job(f"{client}-{number}", double, {"number": number}))
                for number in range(EACH)
            ]
            worker = Worker(address)
            worker.work_off(lambda: True)
            worker.close()
            wait_until(lambda: all(queue.get_status(id_)["completed_at"] for id_ in ids), 60)
            assert [queue.get_result(id_) for id_ in ids] == [2 * number for number in range(EACH)]
            assert {queue.get_status(id_)["attempts"] for id_ in ids} == {1}
            row = queue._get_connection().execute("SELECT pg_backend_pid()").fetchone()
            sessions.add(row[0])

    in_threads(submit_and_work, CLIENTS)

    with JobQueue(address) as queue:
        assert queue.stats()["completed"] == CLIENTS * EACH
    assert len(sessions) <= POOL_SIZE


def test_workflows_retries_and_cancels_work_without_a_direct_address(polling: str) -> None:
    with JobQueue(polling) as queue:
        workflow = Workflow("sums")
        parents = [workflow.add_task(double, {"number": number}) for number in (1, 2)]
        last = workflow.add_task(total, depends_on=parents)
        workflow.submit_all(queue)
        failing = queue.submit(Job("fails", double, {"number": None}, max_attempts=1))
        unwanted = queue.submit(Job("unwanted", double, {"number": 1}))
        assert queue.cancel(unwanted)
        worker = Worker(polling)
        worker.work_off(lambda: True)
        worker.close()

        assert queue.get_result(last.id) == 6
        assert queue.get_status(failing)["status"] == "failed"
        assert queue.stats()["cancelled"] == 1


def test_nothing_lasts_on_the_sessions_of_the_server(address: str, pooler: str) -> None:
    with JobQueue(address) as queue:
        for number in range(10):  # psycopg prepares a statement that it has seen five times
            queue.get_status(queue.submit(Job("double", double, {"number": number})))

    with ExitStack() as stack:
        for _ in range(POOL_SIZE):
            connection = stack.enter_context(psycopg.connect(pooler, prepare_threshold=None))
            assert connection.execute(
                "SELECT current_schema(), current_setting('statement_timeout'),"
                " current_setting('idle_in_transaction_session_timeout'),"
                " (SELECT count(*) FROM pg_prepared_statements),"
                " (SELECT count(*) FROM pg_listening_channels()),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                "  AND pid = pg_backend_pid())"
            ).fetchone() == ("public", "0", "0", 0, 0, 0)


def test_each_transaction_has_the_limits_and_the_schema(address: str, schema: str) -> None:
    with closing(new_connection(address)) as connection:
        database = Database(lambda: connection)
        for begin in (database.read, lambda: database.transaction(durable=True)):
            with begin() as session:
                found = session.connection.execute(
                    "SELECT current_schema(), current_setting('statement_timeout'),"
                    " current_setting('lock_timeout'),"
                    " current_setting('idle_in_transaction_session_timeout')"
                ).fetchone()
            assert found == (schema, "1min", "30s", "20s")


def test_a_pooler_that_is_not_declared_stops_nothing_and_is_named_once(
    pooler: str, schema: str
) -> None:
    with pooled_schema(schema) as address, heard() as warnings:
        all_connected = threading.Barrier(CLIENTS, timeout=60)
        JobQueue(address).close()

        def submit_and_work(client: int) -> None:
            with JobQueue(address) as queue, closing(Worker(address)) as worker:
                all_connected.wait()
                for number in range(EACH):
                    queue.submit(Job(f"{client}-{number}", double, {"number": number}))
                    queue.stats()
                    worker.work_off(lambda: True)

        in_threads(submit_and_work, CLIENTS)

        with JobQueue(address) as queue:
            assert queue.stats()["completed"] == CLIENTS * EACH
    (warning,) = warnings
    assert "pooler = true" in warning["remedy"]


def test_no_two_connections_give_a_prepared_statement_the_same_name() -> None:
    """A pooler that is not declared would let one run the statement of the other."""
    names: set[str] = set()
    for _ in range(2):
        with closing(new_connection(postgres.server())) as connection:
            connection.execute("SELECT 1", prepare=True)
            names.update(
                name for (name,) in connection.execute("SELECT name FROM pg_prepared_statements")
            )
    assert len(names) == 2


def wait_in_thread(backend: PostgresBackend, heard: list[bool], seconds: float) -> threading.Thread:
    """Wait for a notification; the thread listens when this function returns."""
    listens = threading.Event()

    def wait() -> None:
        listener = backend.listener(None)
        listener.drain()
        listens.set()
        heard.append(listener.wait(seconds))
        backend.close()

    thread = threading.Thread(target=wait)
    thread.start()
    listens.wait()
    return thread


def test_a_worker_listens_on_the_direct_address(address: str) -> None:
    JobQueue(address).close()
    heard: list[bool] = []
    thread = wait_in_thread(PostgresBackend(address), heard, 30)
    sender = PostgresBackend(address)
    sender.notify({"default": 1})
    thread.join()
    sender.close()

    assert heard == [True]


def test_without_a_direct_address_a_worker_listens_nowhere_and_polls(polling: str) -> None:
    with JobQueue(polling) as queue:
        heard: list[bool] = []
        thread = wait_in_thread(PostgresBackend(polling), heard, 0.3)
        PostgresBackend(polling).notify({"default": 1})
        thread.join()
        assert heard == [False]

        worker = Worker(polling)
        thread = threading.Thread(target=worker.start)
        thread.start()
        try:
            job_id = queue.submit(Job("double", double, {"number": 1}))
            wait_until(lambda: queue.get_status(job_id)["status"] == "completed", 30)
        finally:
            worker.stop()
            thread.join()


def test_a_migration_uses_the_direct_address(address: str, polling: str, pooler: str) -> None:
    servers = [postgres.server(), pooler]

    assert [host_of_migration(one) for one in (address, polling)] == [
        psycopg.conninfo.conninfo_to_dict(server)["host"] for server in servers
    ]


def host_of_migration(address: str) -> str:
    hosts: list[str] = []

    def note(session: Session) -> None:
        hosts.append(session.connection.info.host)

    with closing(new_connection(address)) as connection:
        online_migration.run(Database(lambda: connection), note)
    return hosts[0]
