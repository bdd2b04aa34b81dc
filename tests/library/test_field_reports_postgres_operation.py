"""What went wrong in the operation of job queues on PostgreSQL, from public bug reports."""

from __future__ import annotations

import multiprocessing
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.errors import StoreError, UnsupportedStore
from gigq.model.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

_USES = 8
"""More often than the driver runs a statement before it prepares it."""


def double(number: int) -> int:
    return 2 * number


def echo(text: str) -> str:
    return text


def submit_in_a_child(address: str) -> int:
    """Use the queue in a forked process, which ends as every process of Python does."""
    forked = multiprocessing.get_context("fork").Process(target=submit, args=(address,))
    forked.start()
    forked.join()
    assert forked.exitcode is not None
    return forked.exitcode


def submit(address: str) -> None:
    with JobQueue(address) as queue:
        queue.submit(Job("of a child", double, {"number": 1}))


class QueueOfAnApplication(JobQueue):
    """A queue on the connection that the application uses for its own statements, too."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def _get_connection(self) -> psycopg.Connection[Any]:
        return self.connection


@pytest.fixture
def schema() -> str:
    return f"test_{new_id().replace('-', '')}"


@pytest.fixture
def address(schema: str) -> Iterator[str]:
    with postgres.fresh_schema(schema) as found:
        yield found


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


@pytest.fixture
def worker(queue: JobQueue) -> Iterator[Worker]:
    with closing(Worker(queue.db_path)) as found:
        yield found


def work_off(worker: Worker) -> None:
    worker.work_off(lambda: True)


def run_one(queue: JobQueue, worker: Worker) -> Any:
    """Submit a job, run it, look at it in several ways, and return its result."""
    job_id = queue.submit(Job("double", double, {"number": 21}))
    work_off(worker)
    assert job_id in {job["id"] for job in queue.list_jobs()}
    assert [one["status"] for one in queue.get_status(job_id)["executions"]] == ["completed"]
    return queue.get_result(job_id)


def sql(address: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements of another session; the rows of the last one."""
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.fault("N1")
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE jobs ADD COLUMN customer TEXT",
        "ALTER TABLE job_executions ADD COLUMN host TEXT",
        "ALTER TABLE jobs ALTER COLUMN priority TYPE INTEGER",
    ],
)
def test_tables_are_altered(queue: JobQueue, worker: Worker, change: str) -> None:
    """graphile/worker#175: no claim until a restart. psycopg/psycopg#511."""
    for _ in range(_USES):
        run_one(queue, worker)

    sql(queue.db_path, change)

    assert [run_one(queue, worker) for _ in range(_USES)] == [42] * _USES


@pytest.mark.fault("N2")
@pytest.mark.parametrize("reset", [b"DISCARD ALL", b"DEALLOCATE ALL"])
def test_the_session_forgets_what_the_driver_has_prepared(
    queue: JobQueue, worker: Worker, reset: bytes
) -> None:
    """psycopg/psycopg#1408, vibeunion/supacloud#537: each later statement failed."""
    for _ in range(_USES):
        run_one(queue, worker)

    for connection in (queue._get_connection(), worker._store.backend.connection()):
        connection.pgconn.exec_(reset)  # as a proxy does, without the driver's knowledge

    assert [run_one(queue, worker) for _ in range(_USES)] == [42] * _USES


@pytest.mark.fault("N3")
def test_the_schema_is_renamed(address: str, schema: str) -> None:
    """timgit/pg-boss#50, procrastinate-org/procrastinate#1434: statements named the first one."""
    with JobQueue(address) as queue:
        parent = queue.submit(Job("parent", double, {"number": 1}))
        child = queue.submit(Job("child", double, {"number": 2}, dependencies=[parent]))
        queue.close()
    renamed = f"{schema}_2"
    sql(address, f"ALTER SCHEMA {schema} RENAME TO {renamed}", f"CREATE SCHEMA {schema}")
    try:
        sql(address, f"UPDATE {renamed}.jobs SET dependencies = '[]' WHERE id = '{child}'")
        there = address.replace(schema, renamed)
        with JobQueue(there) as queue, closing(Worker(there)) as worker:
            queue.cancel(parent)
            work_off(worker)
            assert queue.get_result(child) == 4
            queue.close()
    finally:
        postgres.drop_schema(postgres.administrator(), renamed)


@pytest.mark.fault("N4")
@pytest.mark.parametrize("options", [[], ["--inserts"]], ids=["copy", "inserts"])
def test_a_queue_is_dumped_and_restored(address: str, schema: str, options: list[str]) -> None:
    """pgmq/pgmq#408: rows were missing. boardsesh/boardsesh#4699: a trigger refused the rows."""
    with JobQueue(address) as queue, closing(Worker(address)) as worker:
        done = queue.submit(Job("done", double, {"number": 3}))
        worker.process_one()
        parent = queue.submit(Job("parent", double, {"number": 1}))
        child = queue.submit(Job("child", double, {"number": 2}, dependencies=[parent]))
    command = [postgres.program("pg_dump"), "--schema", schema, *options, postgres.server()]
    dump = subprocess.run(command, capture_output=True, check=True, text=True).stdout

    with postgres.fresh_database() as database:
        load = [postgres.program("psql"), "-Xq", "--set=ON_ERROR_STOP=1", database]
        loaded = subprocess.run(load, input=dump, capture_output=True, check=False, text=True)
        assert (loaded.returncode, loaded.stderr) == (0, "")
        restored = postgres.with_option(database, f"schema={schema}")
        with JobQueue(restored) as queue, closing(Worker(restored)) as worker:
            new = queue.submit(Job("new", double, {"number": 4}))
            work_off(worker)
            results = {job["id"]: queue.get_result(job["id"]) for job in queue.list_jobs()}
            queue.close()

    assert list(results.items()) == [(new, 8), (child, 4), (parent, 2), (done, 6)]
    with JobQueue(address) as queue:
        assert queue.stats()["pending"] == 2


@pytest.mark.fault("N5")
@pytest.mark.parametrize("first", [2**31 - 3, 2**53 - 3, 2**63 - 6])
def test_row_numbers_are_large(queue: JobQueue, worker: Worker, first: int) -> None:
    """graphile/worker#617, janbjorge/pgqueuer#671: numbers from 2^31 on were refused."""
    sql(queue.db_path, f"ALTER TABLE jobs ALTER COLUMN rowid RESTART WITH {first}")

    ids = [queue.submit(Job("one", double, {"number": number})) for number in range(3)]
    ids += queue.submit_many([Job("many", double, {"number": number}) for number in range(3)])
    work_off(worker)

    assert [queue.get_result(one) for one in ids] == [0, 2, 4] * 2
    assert [job["id"] for job in queue.list_jobs()] == ids[::-1]


@pytest.mark.fault("N5")
def test_row_numbers_run_out(queue: JobQueue, worker: Worker) -> None:
    """graphile/worker#619: no worker could start any more."""
    sql(queue.db_path, f"ALTER TABLE jobs ALTER COLUMN rowid RESTART WITH {2**63 - 1}")
    last = queue.submit(Job("last", double, {"number": 1}))

    with pytest.raises(StoreError, match="reached maximum value of sequence"):
        queue.submit(Job("one more", double, {"number": 2}))
    work_off(worker)
    assert queue.get_result(last) == 2


@pytest.mark.fault("N6")
def test_the_tables_of_jobs_are_emptied(queue: JobQueue, worker: Worker) -> None:
    """bensheldon/good_job#887: jobs of an earlier test stayed."""
    queue.submit(Job("old", double, {"number": 1}))
    sql(queue.db_path, "TRUNCATE jobs, job_executions, job_dependencies")

    assert not worker.process_one()
    assert run_one(queue, worker) == 42


@pytest.mark.fault("N6")
@pytest.mark.parametrize(
    ("table", "remedy"), [("gigq_schema", "restore its rows"), ("gigq_store", "INSERT INTO")]
)
def test_a_table_of_gigq_itself_is_emptied(address: str, table: str, remedy: str) -> None:
    """DatabaseCleaner/database_cleaner#317: the next migration began again and failed."""
    with JobQueue(address) as queue:
        queue.submit(Job("double", double, {"number": 1}))
    sql(address, f"TRUNCATE {table}")

    with pytest.raises(UnsupportedStore, match=rf"{table}.*TRUNCATE of all tables.*{remedy}"):
        Worker(JobQueue(address)).process_one()


@pytest.mark.fault("N6")
def test_the_tables_are_dropped_and_the_functions_are_left(address: str) -> None:
    """procrastinate-org/procrastinate#1428: a part of the schema was there, and no hint at it."""
    JobQueue(address).close()
    sql(
        address,
        f"DROP TABLE {', '.join(postgres.TABLES)}",
    )

    with JobQueue(address) as queue, closing(Worker(address)) as worker:
        assert run_one(queue, worker) == 42
        queue.close()


@pytest.mark.fault("N6")
@pytest.mark.parametrize(
    "table", ["jobs", "job_executions", "job_dependencies", "gigq_schema", "gigq_store"]
)
def test_one_of_the_tables_is_dropped(queue: JobQueue, address: str, table: str) -> None:
    """procrastinate-org/procrastinate#1428, for any part of the schema."""
    queue.close()
    sql(address, f"DROP TABLE {table}")

    with pytest.raises(UnsupportedStore, match=rf"and not {table}; restore .*gigq migrate"):
        JobQueue(address)


@pytest.mark.fault("N7")
def test_a_submit_is_rolled_back_with_the_transaction_around_it(
    address: str, worker: Worker
) -> None:
    """nebari-dev/nebi#312: a worker ran the job although its transaction was undone."""
    with psycopg.connect(address) as connection, psycopg.connect(address) as other:
        mine = QueueOfAnApplication(connection)
        connection.execute("CREATE TABLE orders (number INTEGER)")
        undone = mine.submit(Job("undone", double, {"number": 1}))
        assert not worker.process_one()
        connection.rollback()
        assert not worker.process_one()
        connection.execute("CREATE TABLE orders (number INTEGER)")
        kept = mine.submit(Job("kept", double, {"number": 2}))
        connection.commit()
        work_off(worker)

        rows = other.execute("SELECT id, status FROM jobs").fetchall()
    assert undone != kept
    assert rows == [(kept, "completed")]


@pytest.mark.fault("N8")
@pytest.mark.parametrize("level", ["repeatable%20read", "serializable"])
def test_transactions_are_isolated_from_each_other(address: str, level: str) -> None:
    """oban-bg/oban#1132, kagkarlsson/db-scheduler#295: workers failed to claim and stopped."""
    strict = f"{address}%20-cdefault_transaction_isolation%3D{level.replace('%20', '%5C%20')}"
    with JobQueue(strict) as queue:
        queue.submit_many([Job("double", double, {"number": number}) for number in range(60)])
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(work_off, Worker(strict)) for _ in range(4)]:
                done.result()

        assert queue.stats()["completed"] == 60
    assert sql(address, "SELECT count(*) FROM job_executions") == [(60,)]


@pytest.mark.fault("N9")
def test_an_old_snapshot_keeps_all_dead_rows(queue: JobQueue, worker: Worker) -> None:
    """que-rb/que#131, NikolayS/PgQue#80: each claim read all dead rows before it."""
    with psycopg.connect(queue.db_path) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM jobs")
        for _ in range(5):
            queue.submit_many([Job("double", double, {"number": 1}) for _ in range(100)])
            work_off(worker)
        sql(queue.db_path, "VACUUM jobs")

        assert run_one(queue, worker) == 42
        assert queue.stats()["completed"] == 501
        assert old.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


@pytest.mark.fault("N10")
def test_threads_that_submit_and_end_leave_no_session(queue: JobQueue, address: str) -> None:
    """ricwo/pq#10: the server had no free connection after a while."""
    name = f"threads {new_id()}"
    own = JobQueue(f"{address}&application_name={name.replace(' ', '%20')}")
    for number in range(40):
        job = Job("double", double, {"number": number})
        thread = threading.Thread(target=own.submit, args=(job,))
        thread.start()
        thread.join()
    own.close()

    assert queue.stats()["pending"] == 40
    count = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
    wait_until(lambda: sql(address, count) == [(0,)])  # the server ends a session a moment later


@pytest.mark.fault("N11")
def test_parameters_and_results_are_large(queue: JobQueue, worker: Worker) -> None:
    """collectiveidea/delayed_job#595, saurabhnanda/odd-jobs#42: such a job never started."""
    text = "0123456789abcdef" * 60_000
    jobs = queue.submit_many([Job("echo", echo, {"text": text}) for _ in range(20)])
    work_off(worker)

    assert [queue.get_result(job_id) == text for job_id in jobs] == [True] * 20


@pytest.mark.fault("N12")
def test_a_job_forks_a_process_that_uses_the_queue(queue: JobQueue, worker: Worker) -> None:
    """django-commons/django-tasks-scheduler#393, celery/celery#1564: the parent's session ended."""
    pid = worker._store.backend.connection().info.backend_pid
    job_id = queue.submit(Job("forks", submit_in_a_child, {"address": queue.db_path}))

    assert worker.process_one()

    assert queue.get_result(job_id) == 0
    assert queue.stats()["pending"] == 1
    assert worker._store.backend.connection().info.backend_pid == pid
