"""A `JobQueue` and a `Worker` on the address of a PostgreSQL database."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.waiting import wait_until

from gigq import Job, JobQueue, Retry, Worker, Workflow, task
from gigq.errors import StoreUnavailable
from gigq.model import clock
from gigq.store.postgres import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK_FILE, _BOOT, _NAMESPACE = 2, 3, 4


class Interrupted(BaseException):
    """What a handler of a signal raises."""


@task()
def add(a: int, b: int) -> int:
    return a + b


@task()
def total(parent_results: dict[str, int]) -> int:
    return sum(parent_results.values())


def fail() -> None:
    raise ValueError("no")


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


def backends(address: str) -> list[int]:
    """The processes of the server that serve this schema, without the one that is asked."""
    with psycopg.connect(address) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'gigq'"
        ).fetchall()
    return [row[0] for row in rows]


def work_off(address: str) -> None:
    worker = Worker(address)
    worker.work_off(lambda: True)
    worker.close()


def test_jobs_run_with_their_results_and_dependents(queue: JobQueue, address: str) -> None:
    workflow = Workflow("sums")
    first = workflow.add_task(add, {"a": 1, "b": 2})
    second = workflow.add_task(add, {"a": 3, "b": 4})
    last = workflow.add_task(total, depends_on=[first, second])
    workflow.submit_all(queue)
    work_off(address)

    assert queue.get_result(last.id) == 10
    assert queue.stats()["completed"] == 3


def test_delays_of_one_batch_count_from_one_time(queue: JobQueue) -> None:
    many = [Job("later", add, {"a": 1, "b": 1}, delay=60 + n) for n in range(3)]
    rows = [queue.get_status(job_id) for job_id in queue.submit_many(many)]
    starts = {clock.after(row["retry_after"], -60 - n) for n, row in enumerate(rows)}

    assert len(starts) == 1


def test_a_failed_job_waits_for_its_delay_by_the_clock_of_the_server(
    queue: JobQueue, address: str
) -> None:
    job_id = queue.submit(Job("fails", fail, {}, retry=Retry(first="1h")))
    delayed = queue.submit(Job("later", add, {"a": 1, "b": 2}, delay="1h"))
    work_off(address)

    status = queue.get_status(job_id)
    assert (status["status"], status["attempts"]) == ("pending", 1)
    assert {job["id"] for job in queue.list_jobs(delayed=True)} == {job_id, delayed}
    assert queue.run_now(delayed)
    work_off(address)
    assert queue.get_result(delayed) == 3


def test_text_that_no_database_can_store_is_stored_as_in_a_file(
    queue: JobQueue, address: str, tmp_path: Any
) -> None:
    with JobQueue(tmp_path / "jobs.db") as in_file:
        shown = []
        for one in (queue, in_file):
            job_id = one.submit(Job("name", add, {"a": "\ud800 \0 \u00e9", "b": "x"}))
            worker = Worker(one)
            worker.process_one()
            shown.append([one.get_status(job_id)[key] for key in ("params", "result", "status")])
            worker.close()

    assert shown[0] == shown[1]


def test_a_connection_that_the_server_has_closed_is_replaced(queue: JobQueue, address: str) -> None:
    queue.submit(Job("before", add, {"a": 1, "b": 2}))
    with psycopg.connect(address) as connection:
        pid = queue._get_connection().info.backend_pid
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    queue.submit(Job("after", add, {"a": 1, "b": 2}))

    assert queue.stats()["pending"] == 2


def test_an_idle_worker_starts_a_job_that_another_process_submits(
    queue: JobQueue, address: str
) -> None:
    worker = Worker(address, polling_interval=60)
    thread = threading.Thread(target=worker.start)
    thread.start()
    try:
        job_id = queue.submit(Job("sum", add, {"a": 1, "b": 2}))
        wait_until(lambda: queue.get_status(job_id)["status"] == "completed", 20)
    finally:
        worker.stop()
        thread.join()


def test_a_server_that_cannot_be_reached_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        JobQueue("postgresql://shop:secret@127.0.0.1:1/shop?connect_timeout=2")
    assert "postgresql://shop@127.0.0.1:1/shop" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_jobs_of_a_killed_worker_are_started_again(queue: JobQueue, address: str) -> None:
    job_id = queue.submit(Job("job", os.getpid, max_attempts=2))
    _run_of_a_dead_worker(address)
    assert queue.get_status(job_id)["status"] == "running"

    Worker(address)._check_for_timeouts()
    assert queue.get_status(job_id)["status"] == "pending"


@pytest.mark.parametrize(
    "changed", [{_LOCK_FILE: "x", _BOOT: "x"}, {_LOCK_FILE: "x", _NAMESPACE: "1"}]
)
def test_a_job_of_another_host_is_left_alone(
    queue: JobQueue, address: str, changed: dict[int, str]
) -> None:
    job_id = queue.submit(Job("job", os.getpid, timeout=None))
    run = _run_of_a_dead_worker(address).split(":")
    of_other = ":".join(changed.get(number, part) for number, part in enumerate(run))
    queue._get_connection().execute("UPDATE job_executions SET run = %s", (of_other,))

    Worker(address)._check_for_timeouts()
    assert queue.get_status(job_id)["status"] == "running"


def test_a_forked_child_leaves_the_connection_of_its_parent_alone(
    queue: JobQueue, address: str
) -> None:
    pid = queue._get_connection().info.backend_pid
    child = os.fork()
    if child == 0:
        os._exit(0 if JobQueue(address).stats()["total"] == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0

    assert queue.stats()["total"] == 0
    assert queue._get_connection().info.backend_pid == pid


def test_an_option_of_the_address_stays_as_it_is(address: str) -> None:
    with closing(connections.new_connection(f"{address}&connect_timeout=3")) as connection:
        assert connection.info.get_parameters()["connect_timeout"] == "3"
        assert connection.info.get_parameters()["keepalives_idle"] == "5"


def _run_of_a_dead_worker(address: str) -> str:
    """Let a worker claim a job and die; its run."""
    child = os.fork()
    if child == 0:
        worker = Worker(address)
        worker._claim_job()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with psycopg.connect(address) as connection:
        row = connection.execute("SELECT run FROM job_executions").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("scheme", ["postgres", "PostgreSQL", "Postgres"])
def test_the_scheme_of_the_address_may_be_short_and_have_capitals(address, scheme):
    other = f"{scheme}://{address.partition('://')[2]}"
    JobQueue(other).submit(Job("job", os.getpid))
    work_off(other)

    assert [job["status"] for job in JobQueue(address).list_jobs()] == ["completed"]


def test_a_signal_in_the_middle_of_a_statement_leaves_a_usable_queue(
    queue: JobQueue, address: str
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with psycopg.connect(address) as other:
            other.execute("LOCK TABLE jobs")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Interrupted):
                queue.submit(Job("a", fail))
    finally:
        signal.signal(signal.SIGALRM, before)
    queue.submit(Job("b", fail))
    assert "b" in {job["name"] for job in queue.list_jobs()}
