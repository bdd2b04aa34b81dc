"""Wakeups by NOTIFY: how many there are, who takes them, and what happens without them."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import postgres
from support.jobs_to_run import nothing
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.cli.open_queue import ReadQueue
from gigq.model.ids import new_id
from gigq.store.backend import backend_of
from gigq.store.dialect import POSTGRES
from gigq.store.listeners import NoWatch
from gigq.store.postgres import connections
from gigq.store.postgres.notifications import DEBOUNCE
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_USAGE = "SELECT pg_notification_queue_usage()"
_PROCESSES, _EACH = 8, 250
_LAST = ["the last one"]
_let_go = threading.Event()
_waits: list[bool] = []
_waits_before_job: list[int] = []


def note_waits() -> None:
    """A job that notes the number of waits until it was started."""
    _waits_before_job.append(len(_waits))


def hold_a_transaction(address: str) -> None:
    """A job that is in a transaction on its worker's own connection until the test lets it go."""
    connection = connections.open_connection(address)
    with connection.transaction():
        connection.execute("SELECT 1")
        assert _let_go.wait(60)


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


@pytest.fixture
def heard(address: str) -> Iterator[psycopg.Connection[Any]]:
    """An independent connection that listens."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statements(POSTGRES)["listen"])
        yield connection


@contextmanager
def working(address: str) -> Iterator[list[bool]]:
    """Run a worker; what each of its waits for a wakeup has returned."""
    worker = Worker(address, polling_interval=60)
    _waits.clear()
    listener = worker.backend.listener

    def listening(queues: Any) -> Any:
        found: Any = listener(queues)
        wait = found.wait

        def noting(*arguments: Any) -> bool:
            _waits.append(wait(*arguments))
            return _waits[-1]

        found.wait = noting
        return found

    worker.backend.listener = listening  # type: ignore[method-assign]
    thread = threading.Thread(target=worker.start)
    thread.start()
    try:
        yield _waits
    finally:
        worker.stop()
        thread.join()


def notifications(heard: psycopg.Connection[Any]) -> list[list[str]]:
    """The queues of each notification that was sent before this call."""
    with psycopg.connect(heard.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_notify('gigq_' || current_schema(), %s)", (json.dumps(_LAST),))
    found: list[list[str]] = []
    for one in heard.notifies(timeout=60):
        if (queues := json.loads(one.payload)) == _LAST:
            return found
        found.append(queues)
    raise AssertionError(f"of the notifications only {found} have arrived")


def in_processes(call: Callable[[], None]) -> None:
    """Run a function in eight processes."""
    children = []
    for _ in range(_PROCESSES):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                call()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * _PROCESSES


def at_most_ten_a_second(number: int, began: float) -> bool:
    """True when there were so many in the time since then, and the tenth that is not over.

    A process that waits for a processor may be late with one.
    """
    return 1 <= number <= (time.monotonic() - began) / DEBOUNCE + 2 + _PROCESSES


def test_processes_that_submit_cause_ten_notifications_a_second_together(
    queue: JobQueue, address: str, heard: psycopg.Connection[Any]
) -> None:
    def submit() -> None:
        with JobQueue(address, initialize=False) as mine:
            for _ in range(_EACH):
                mine.submit(Job("job", nothing))

    began = time.monotonic()
    in_processes(submit)
    assert queue.stats()["total"] == _PROCESSES * _EACH
    assert at_most_ten_a_second(len(notifications(heard)), began)


def test_batches_of_ten_thousand_jobs_cause_ten_notifications_a_second(
    queue: JobQueue, heard: psycopg.Connection[Any]
) -> None:
    began = time.monotonic()
    for _ in range(100):
        queue.submit_many(Job("job", nothing) for _ in range(100))
    assert at_most_ten_a_second(len(notifications(heard)), began)


def test_each_queue_has_its_own_notifications(
    queue: JobQueue, heard: psycopg.Connection[Any]
) -> None:
    names = [f"queue-{number}" for number in range(10)]
    for name in names:
        queue.submit(Job("job", nothing, queue=name))
    assert notifications(heard) == [[name] for name in names]


def test_many_queues_at_once_are_one_notification_for_all(
    queue: JobQueue, heard: psycopg.Connection[Any]
) -> None:
    queue.submit_many(Job("job", nothing, queue=f"queue-{number}") for number in range(100))
    assert notifications(heard) == [["*"]]


def test_a_notification_wakes_an_idle_worker(queue: JobQueue, address: str) -> None:
    with working(address) as waits:
        wait_until(lambda: False in waits)
        waits.clear()

        def woken() -> bool:
            # A worker that is about to look finds the job by itself.
            job_id = queue.submit(Job("job", nothing))
            wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
            return True in waits

        assert wait_until(woken)


def test_the_cancel_of_a_running_job_is_notified_to_the_host_that_runs_it(
    queue: JobQueue, address: str, heard: psycopg.Connection[Any]
) -> None:
    job_id = queue.submit(Job("job", nothing, queue="far"))
    assert Worker(address)._claim_job()
    notifications(heard)
    over = time.monotonic() + 2 * DEBOUNCE
    wait_until(lambda: time.monotonic() > over, why="another notification may be sent")

    assert queue.cancel(job_id, running=True)
    assert notifications(heard) == [["far"]]


def test_the_first_request_for_the_output_of_a_job_is_notified_to_the_host_that_runs_it(
    queue: JobQueue, address: str, heard: psycopg.Connection[Any]
) -> None:
    queue.submit(Job("job", nothing, queue="far"))
    claim = Worker(address)._claim_job()
    assert claim is not None
    notifications(heard)
    over = time.monotonic() + 2 * DEBOUNCE
    wait_until(lambda: time.monotonic() > over, why="another notification may be sent")

    with ReadQueue(address, initialize=False) as reader:
        reader.request_output(claim["execution_id"], "far", first=False)
        reader.request_output("missing", "far", first=True)
        assert notifications(heard) == []
        reader.request_output(claim["execution_id"], "far", first=True)
    assert notifications(heard) == [["far"]]


def test_a_lost_notification_costs_one_poll(queue: JobQueue, address: str) -> None:
    with working(address) as waits, JobQueue(f"{address}&notify=off") as silent:
        wait_until(lambda: False in waits)
        job_id = silent.submit(Job("job", note_waits))
        submitted = len(waits)
        wait_until(lambda: silent.get_status(job_id)["status"] == "completed")
    # The wait in which it was submitted ended without a wakeup.
    assert waits[submitted : _waits_before_job[-1]] in ([], [False])


def test_workers_do_not_poll_in_step() -> None:
    pauses = {NoWatch(2.0).longest_sleep for _ in range(50)}
    assert len(pauses) > 40
    assert all(1.5 <= pause <= 2.0 for pause in pauses)


def test_a_worker_without_notifications_polls(address: str) -> None:
    silent = f"{address}&notify=off"
    with JobQueue(silent) as queue, working(silent) as waits:
        job_id = queue.submit(Job("job", nothing))
        wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
    assert True not in waits
    watch = backend_of(silent).queue_watch()
    watch.renew()
    assert "notify=off" in (watch.problem or "")


def test_a_job_in_a_transaction_does_not_keep_notifications_in_the_server(
    queue: JobQueue, address: str
) -> None:
    try:
        with working(address) as waits, psycopg.connect(address, autocommit=True) as other:
            wait_until(lambda: waits)
            job_id = queue.submit(Job("holds", hold_a_transaction, {"address": address}))
            wait_until(lambda: queue.get_status(job_id)["status"] == "running")
            for _ in range(100):
                other.execute("SELECT pg_notify('gigq_' || current_schema(), repeat('x', 7000))")
            wait_until(lambda: other.execute(_USAGE).fetchone() == (0.0,))
            _let_go.set()
            wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
    finally:
        _let_go.set()


def test_the_longest_name_of_a_schema_has_a_channel() -> None:
    with postgres.fresh_schema(f"test_{new_id().replace('-', '')}".ljust(63, "x")) as address:
        watch = backend_of(address).queue_watch()
        with JobQueue(address) as queue:
            watch.renew()
            wait_until(lambda: watch.take() is None, why=watch.problem or "")
            queue.submit(Job("job", nothing, queue="mail"))
            wait_until(lambda: watch.take() == {"mail"})
        watch.close()
