"""A `JobQueue` with connections of its own, as docs/api/core.md shows it, on a real server."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg2
import pytest
from psycopg.rows import dict_row

from gigq import Job, JobQueue, JobStatus, Worker
from gigq.errors import UnsupportedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONLY_TWO = "id TEXT PRIMARY KEY, name TEXT NOT NULL"
OF_THE_SEED = f"""{ONLY_TWO}, function_name TEXT NOT NULL, function_module TEXT NOT NULL,
    params TEXT, priority INTEGER DEFAULT 0, dependencies TEXT, max_attempts INTEGER DEFAULT 3,
    timeout INTEGER DEFAULT 300, description TEXT, status TEXT NOT NULL, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL, attempts INTEGER DEFAULT 0, result TEXT, error TEXT,
    started_at TEXT, completed_at TEXT, worker_id TEXT"""

CLAIM = """UPDATE jobs SET status = 'running', attempts = attempts + 1
    WHERE id = (SELECT id FROM jobs WHERE status = 'pending' LIMIT 1) RETURNING *"""

_connections: list[Any] = []
_blocks: list[Any] = []


def add(a: int, b: int) -> int:
    return a + b


def enter_a_block() -> None:
    """A job that enters a block of psycopg, which only its end or that of the connection ends."""
    _blocks.append(_connections[-1].transaction())
    _blocks[-1].__enter__()


@pytest.fixture
def address(empty: str) -> str:
    """The address of an empty schema."""
    return empty


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """The connections of a test. As its page shows it, the subclass opens many and closes none."""
    with ExitStack() as found:
        yield found


@pytest.fixture(params=[psycopg, psycopg2], ids=lambda driver: driver.__name__)
def connect(request: pytest.FixtureRequest, opened: ExitStack) -> Callable[[str], Any]:
    """Connections of one driver."""
    return lambda address: opened.enter_context(closing(request.param.connect(address)))


@pytest.fixture(params=[ONLY_TWO, OF_THE_SEED], ids=["two columns", "the seed's columns"])
def queue(request: pytest.FixtureRequest, connect: Callable[[str], Any], address: str) -> JobQueue:
    return queue_with(connect, address, request.param)


def queue_with(connect: Callable[[str], Any], address: str, columns: str) -> JobQueue:
    class PostgresJobQueue(JobQueue):
        def __init__(self, connection_string: str) -> None:
            self.connection_string = connection_string
            self._initialize_db()

        def _get_connection(self) -> Any:
            return connect(self.connection_string)

        def _initialize_db(self) -> None:
            conn = self._get_connection()
            cursor = conn.cursor()
            cursor.execute(f"CREATE TABLE IF NOT EXISTS jobs ({columns})")
            cursor.execute("CREATE INDEX IF NOT EXISTS idx_jobs_status ON jobs (id)")
            conn.commit()
            conn.close()

    return PostgresJobQueue(address)


def test_jobs_are_submitted_shown_listed_and_cancelled(queue: JobQueue) -> None:
    first = queue.submit(Job("first", add, {"a": 1, "b": 2}, priority=5, timeout=7))
    second = queue.submit(Job("second", add, {"a": 1, "b": 2}, dependencies=[first]))

    assert queue.get_status(first)["timeout"] == 7
    assert [job["name"] for job in queue.list_jobs(JobStatus.PENDING)] == ["second", "first"]
    assert queue.cancel(second)
    assert queue.get_status(second)["status"] == "cancelled"


def test_a_worker_runs_its_jobs(queue: JobQueue) -> None:
    job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}))
    failing = queue.submit(Job("fails", add, {"a": 1, "b": "x"}, max_attempts=1))
    worker = Worker(queue)

    assert [worker.process_one() for _ in range(3)] == [True, True, False]
    assert queue.get_result(job_id) == 3
    assert queue.get_status(failing)["status"] == "failed"


@pytest.mark.parametrize("timeout", [7, 0.5])
def test_a_worker_claims_with_its_own_sql(
    connect: Callable[[str], Any], address: str, timeout: float
) -> None:
    class Claiming(Worker):
        def _claim_job(self) -> dict[str, Any] | None:
            with closing(connect(address)) as connection, connection.cursor() as cursor:
                cursor.execute(CLAIM)
                connection.commit()
                row = cursor.fetchone()
                names = [column[0] for column in cursor.description]
            return row and dict(zip(names, row, strict=True))

    with JobQueue(address) as queue, closing(Claiming(address)) as worker:
        job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}, timeout=timeout))

        assert worker.process_one()
        assert queue.get_result(job_id) == 3
        queue.close()


def test_a_large_batch_is_stored(queue: JobQueue) -> None:
    queue.submit_many(Job("sum", add, {"a": 1, "b": 2}) for _ in range(150))
    assert queue.stats()["pending"] == 150


def test_connections_may_have_rows_of_another_kind(address: str, opened: ExitStack) -> None:
    def connect(server: str) -> Any:
        return opened.enter_context(closing(psycopg.connect(server, row_factory=dict_row)))

    queue = queue_with(connect, address, ONLY_TWO)
    job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}))

    assert Worker(queue).process_one()
    assert queue.get_result(job_id) == 3


def test_the_server_has_nothing_to_remark(address: str, opened: ExitStack) -> None:
    remarks: list[str | None] = []

    def connect(server: str) -> Any:
        connection = opened.enter_context(closing(psycopg.connect(server)))
        connection.add_notice_handler(lambda one: remarks.append(one.message_primary))
        return connection

    queue = queue_with(connect, address, ONLY_TWO)
    job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}))  # which also migrates
    remarks.clear()

    assert Worker(queue).process_one()
    assert queue.get_result(job_id) == 3
    assert remarks == []


def test_a_block_of_the_driver_that_a_job_leaves_open_costs_no_outcome(
    address: str, opened: ExitStack
) -> None:
    def connect(server: str) -> Any:
        if not _connections or _connections[-1].closed:
            _connections.append(opened.enter_context(closing(psycopg.connect(server))))
        return _connections[-1]

    queue = queue_with(connect, address, ONLY_TWO)
    job_id = queue.submit(Job("enters", enter_a_block))

    assert Worker(queue).process_one()
    assert queue.get_status(job_id)["status"] == "completed"
    with psycopg.connect(address) as other:
        assert other.execute("SELECT status FROM jobs").fetchone() == ("completed",)


def test_a_worker_uses_the_connections_of_a_class_that_has_an_address(address: str) -> None:
    class Queue(JobQueue):
        def _get_connection(self) -> Any:
            connections.append(super()._get_connection())
            return connections[-1]

    connections: list[Any] = []
    with Queue(address) as queue:
        job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}))
        worker = Worker(queue)
        connections.clear()

        assert worker.process_one()
        assert connections
        assert queue.get_result(job_id) == 3


def test_the_columns_and_indexes_of_the_application_stay(
    connect: Callable[[str], Any], address: str
) -> None:
    queue = queue_with(connect, address, f"{OF_THE_SEED}, tenant TEXT DEFAULT 'all'")
    job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}))

    assert queue.get_status(job_id)["tenant"] == "all"
    with psycopg.connect(address) as connection:
        indexes = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
        ).fetchall()
    assert ("idx_jobs_status",) in indexes


def test_columns_of_another_kind_are_refused_by_name(
    connect: Callable[[str], Any], address: str
) -> None:
    odd = OF_THE_SEED.replace("params TEXT", "params JSONB")
    queue = queue_with(connect, address, odd.replace("created_at TEXT", "created_at TIMESTAMPTZ"))

    with pytest.raises(UnsupportedStore) as caught:
        queue.submit(Job("sum", add, {"a": 1, "b": 2}))
    said = str(caught.value)
    assert "jobs.created_at is timestamp with time zone, not text" in said
    assert "jobs.params is jsonb, not text" in said
