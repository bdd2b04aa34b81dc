"""Workers and clients on a PostgreSQL server that is stopped, full or read-only for a while."""

from __future__ import annotations

import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres
from support.free_port import free_port
from support.postgres_workers import (
    all_completed,
    jobs_named,
    repeatedly,
    runs,
    troubles,
    working,
)
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.errors import StoreLocked, StoreUnavailable
from gigq.model.ids import new_id
from gigq.store.database import Database
from gigq.store.postgres import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.postgres import OwnServer

_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE usename = 'gigq'"
_END = f"SELECT pg_terminate_backend(pid, 10000) FROM ({_SESSIONS}) AS session"


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with postgres.own_server("max_connections = 20", "superuser_reserved_connections = 3") as one:
        one.run("CREATE ROLE gigq LOGIN")
        one.run("GRANT CREATE ON DATABASE postgres TO gigq")
        yield one


@pytest.fixture
def address(server: OwnServer) -> Iterator[str]:
    """The address of a schema of its own, for a role that the limits hold for."""
    schema = f"test_{new_id().replace('-', '')}"
    server.run(f"CREATE SCHEMA {schema} AUTHORIZATION gigq")
    found = f"{server.address.replace('postgres@', 'gigq@')}&options=-csearch_path%3D{schema}"
    yield found
    connections.close_connection(found)


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """The errors that workers wait out during the test."""
    with troubles() as found:
        yield found


def fast_restart(server: OwnServer) -> None:
    server.restart("fast")


def crash(server: OwnServer) -> None:
    server.restart("immediate")


def ended_sessions(server: OwnServer) -> None:
    for _ in range(10):
        server.run(_END)


@pytest.mark.fault("G3")
@pytest.mark.parametrize("trouble", [fast_restart, crash, ended_sessions])
def test_each_job_runs_once_while_connections_are_lost(
    server: OwnServer, queue: JobQueue, address: str, trouble: Callable[[OwnServer], None]
) -> None:
    jobs = jobs_named(f"{trouble.__name__}-{address[-8:]}", 400)

    def submit() -> None:
        with JobQueue(address) as client:
            for job in jobs:
                repeatedly(lambda job=job: client.submit(job))

    client = threading.Thread(target=submit)
    with working(address):
        client.start()
        for done in (50, 200):
            wait_until(lambda done=done: sum(runs([job.name for job in jobs]).values()) > done)
            trouble(server)
        client.join()
        all_completed(queue, len(jobs))

    assert set(runs([job.name for job in jobs]).values()) == {1}
    assert {len(queue.get_status(job.id)["executions"]) for job in jobs} == {1}


def test_a_worker_waits_for_a_server_that_does_not_run_yet(
    server: OwnServer, queue: JobQueue, address: str, problems: list[str]
) -> None:
    jobs = jobs_named(address[-8:], 3)
    queue.submit_many(jobs)
    server.stop()
    with pytest.raises(StoreUnavailable, match="check that the server runs"):
        queue.submit(jobs[0])
    with working(address):
        wait_until(lambda: problems)
        server.start()
        all_completed(queue, len(jobs))
    assert "check that the server runs" in problems[0]


def test_a_transaction_that_was_idle_for_too_long_is_one_to_repeat(
    server: OwnServer, queue: JobQueue, address: str
) -> None:
    limited = f"{address}%20-cidle_in_transaction_session_timeout%3D50"
    database = Database(lambda: connections.open_connection(limited))

    def idle() -> None:
        with database.transaction(durable=True) as session:
            pid = session.connection.info.backend_pid
            wait_until(lambda: not server.run(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"))
            session.all("table_names")

    with pytest.raises(StoreUnavailable, match="idle-in-transaction timeout"):
        idle()
    assert database.all("table_names")
    connections.close_connection(limited)


def test_a_server_without_free_connections_is_waited_for(
    server: OwnServer, queue: JobQueue, address: str, problems: list[str]
) -> None:
    jobs = jobs_named(address[-8:], 3)
    queue.submit_many(jobs)
    others: list[Any] = []

    def is_full() -> bool:
        try:
            others.append(psycopg.connect(address))
        except psycopg.OperationalError:
            return True
        return False

    queue.close()
    wait_until(lambda: not server.run(_SESSIONS))
    wait_until(is_full)
    with working(address, 1):
        with pytest.raises(StoreUnavailable, match="raise max_connections"):
            queue.submit(jobs[0])
        wait_until(lambda: problems)
        for other in others:
            other.close()
        all_completed(queue, len(jobs))
    assert "raise max_connections" in problems[0]


def test_a_read_only_server_is_named_and_waited_for(
    server: OwnServer, queue: JobQueue, address: str, problems: list[str]
) -> None:
    jobs = jobs_named(address[-8:], 3)
    queue.submit_many(jobs)
    server.run("ALTER ROLE gigq SET default_transaction_read_only = on")
    try:
        queue.close()
        with pytest.raises(StoreUnavailable, match="read-only"):
            queue.submit(Job("more", print))
        assert queue.stats()["pending"] == 3
        with working(address):
            wait_until(lambda: problems)
            server.run("ALTER ROLE gigq RESET default_transaction_read_only")
            server.run(_END)
            all_completed(queue, len(jobs))
    finally:
        server.run("ALTER ROLE gigq RESET default_transaction_read_only")
    assert "connect to the primary" in problems[0]


def test_a_table_that_is_locked_after_a_claim_keeps_no_claimed_job_from_running(
    queue: JobQueue, address: str
) -> None:
    (job,) = jobs_named(address[-8:], 1)
    job_id = queue.submit(job)
    worker = Worker(address)
    worker.lock_timeout = 0.1
    with psycopg.connect(address) as other:
        worker._runner.waking.before_work = partial(other.execute, "LOCK TABLE jobs")
        with pytest.raises(StoreLocked):  # the outcome cannot be recorded yet
            worker.process_one()
        assert runs([job.name])[job.name] == 1
        other.rollback()
    worker.process_one()

    assert queue.get_status(job_id)["status"] == "completed"
    assert runs([job.name])[job.name] == 1


def test_a_server_that_is_down_is_one_error_without_that_of_the_driver() -> None:
    with pytest.raises(StoreUnavailable, match="Connection refused") as raised:
        JobQueue(f"postgresql://127.0.0.1:{free_port()}/shop")

    assert "psycopg" not in "".join(traceback.format_exception(raised.value))
