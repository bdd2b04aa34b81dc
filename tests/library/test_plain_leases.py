"""The lease of a process with plain workers: it ends before other hosts run its jobs."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import jobs_to_run, postgres, stores
from support.claims import claim
from support.postgres_relay import relaying_to, through
from support.raw_sql import Program
from support.shell import clean_environment
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.cli import exit_codes
from gigq.execution import plain_lease
from gigq.execution.callbacks import Callbacks
from gigq.execution.plain_lease import EndlessLease, PlainLease
from gigq.model.execution_result import ExecutionResult
from gigq.model.job_status import JobStatus
from gigq.model.lease import Lease, boot_time
from gigq.store.lease_renewal import LeaseRenewal
from gigq.store.postgres.backend import BackendOfConnections, PostgresBackend
from gigq.store.postgres.connections import WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = str(Path(__file__).parents[1])
LEASE = "lease=3"
CLAIM = claim()
DONE = ExecutionResult(JobStatus.COMPLETED)
ended = threading.Event()
SILENCED = (
    "import sys; from gigq import Worker; assert Worker(sys.argv[1]).process_one(); "
    "print('done', flush=True)"
)
RUN_ONE = "assert worker.process_one()"
WORK = """
import sys
from gigq import Worker
Worker(sys.argv[1], "worker").process_one()
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with stores.address_of("postgres", tmp_path) as found:
        yield found


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


def processes(address: str) -> list[dict[str, Any]]:
    with closing(Program(address)) as program:
        return program.rows("SELECT * FROM gigq_processes")


def is_running(queue: JobQueue, job_id: str) -> bool:
    return bool(queue.get_status(job_id)["status"] == "running")


def test_a_process_that_cannot_renew_its_lease_ends_while_it_runs_a_job(
    address: str, queue: JobQueue, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    queue.submit(Job("waits", jobs_to_run.meet, {"own": str(begun), "other": "/absent"}))
    environment = clean_environment(PYTHONPATH=TESTS)
    with relaying_to(address) as relay:
        given = postgres.with_option(through(relay, address), LEASE)
        command = [sys.executable, "-c", WORK, given]
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True
        ) as worker:
            try:
                wait_until(begun.exists, why="the job runs")
                relay.is_silent = True
                _, said = worker.communicate(timeout=60)
            finally:
                worker.kill()

    assert worker.returncode == plain_lease.EXIT_CODE == exit_codes.LEASE_NOT_RENEWED
    assert "the lease of 3 s could not be renewed" in said


def test_a_worker_renews_its_lease_while_its_job_runs(
    address: str, queue: JobQueue, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    job_id = queue.submit(Job("waits", jobs_to_run.wait_for, {"path": str(go)}))
    worker = Worker(postgres.with_option(address, LEASE), "worker", polling_interval=0.1)
    thread = threading.Thread(target=worker.start)
    thread.start()
    wait_until(lambda: is_running(queue, job_id), why="the job runs")
    (first,) = processes(address)
    wait_until(
        lambda: processes(address)[0]["lease_ends_at"] > first["lease_ends_at"],
        why="the lease is renewed",
    )
    go.touch()
    wait_until(lambda: not is_running(queue, job_id), why="the job ends")
    worker.stop()
    thread.join()

    assert (first["kind"], first["lease"]) == ("worker", 3.0)
    assert processes(address) == []


@pytest.mark.parametrize("end", ["", "worker.close()", "raise SystemExit"])
def test_a_process_that_ends_leaves_no_row(end: str, address: str, queue: JobQueue) -> None:
    job_id = queue.submit(Job("adds", jobs_to_run.add, {"a": 1, "b": 2}))
    script = f"import sys; from gigq import Worker; worker = Worker(sys.argv[1]); {RUN_ONE}; {end}"
    environment = clean_environment(PYTHONPATH=TESTS)
    command = [sys.executable, "-W", "error", "-c", script, address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert queue.get_status(job_id)["status"] == "completed"
    assert processes(address) == []


def test_two_spellings_of_one_address_end_their_leases(address: str, queue: JobQueue) -> None:
    script = "; ".join(
        [
            "import sys; from gigq import Worker",
            "workers = [Worker(sys.argv[1]), Worker(sys.argv[1] + '&application_name=other')]",
            "assert [worker.process_one() for worker in workers] == [True, True]",
        ]
    )
    for _ in range(2):
        queue.submit(Job("adds", jobs_to_run.add, {"a": 1, "b": 2}))
    command = [sys.executable, "-c", script, address]
    subprocess.run(command, env=clean_environment(PYTHONPATH=TESTS), check=True)

    assert processes(address) == []


def test_a_server_that_is_silent_does_not_hold_up_the_exit(address: str, queue: JobQueue) -> None:
    queue.submit(Job("adds", jobs_to_run.add, {"a": 1, "b": 2}))
    with relaying_to(address) as relay:
        script = f"{SILENCED}; input()"
        command = [sys.executable, "-c", script, through(relay, address)]
        environment = clean_environment(PYTHONPATH=TESTS)
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdout is not None
            try:
                assert worker.stdout.readline() == b"done\n"
                relay.is_silent = True
                worker.communicate(b"\n", timeout=60)
            finally:
                worker.kill()

    assert worker.returncode == 0


@pytest.fixture
def held(address: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlainLease]:
    """The lease of this process, which has claimed under it; `ended` is set instead of its end."""
    queue.submit(Job("adds", jobs_to_run.add, {"a": 1, "b": 2}))
    lease = PlainLease(PostgresBackend(address, WORKER), 600.0)
    monkeypatch.setattr(lease, "_end_process", ended.set)
    ended.clear()
    lease.for_claim()
    yield lease
    lease._ended.set()
    for thread in threading.enumerate():
        if thread.name.startswith("gigq-lease"):
            thread.join()


def become(held: PlainLease, *, number: int, left: float) -> None:
    """Let the lease have this number, and these seconds left."""
    held._renewal.lease = Lease(number, boot_time() + left)


def looks_again(held: PlainLease) -> None:
    """Wait until the thread that watches the lease has looked at it twice."""
    looks = 0
    lease, renewal = held._renewal.lease, held._renewal

    class Counting(LeaseRenewal):
        @property
        def lease(self) -> Lease:
            nonlocal looks
            looks += threading.current_thread().name == "gigq-lease-end"
            return lease

        @lease.setter
        def lease(self, value: Lease) -> None:
            raise AssertionError("nothing renews it")

    renewal.__class__ = Counting
    wait_until(lambda: looks >= 2 or ended.is_set(), why="it is looked at")
    renewal.__class__ = LeaseRenewal


@pytest.mark.parametrize(
    ("number", "left", "ends"),
    [(1, 600, False), (1, 60, False), (1, 49, True), (1, -1, True), (2, 600, True)],
)
def test_a_process_ends_with_a_job_whose_lease_is_over_also_when_it_has_another(
    held: PlainLease, number: int, left: float, ends: bool
) -> None:
    callbacks = held.guarded(Callbacks())
    assert callbacks.may_start(CLAIM)

    become(held, number=number, left=left)
    looks_again(held)

    assert ended.is_set() is ends


@pytest.mark.parametrize(("number", "left"), [(1, -1), (2, 600)])
def test_a_process_without_a_job_goes_on(held: PlainLease, number: int, left: float) -> None:
    callbacks = held.guarded(Callbacks())
    assert callbacks.may_start(CLAIM)
    callbacks.finished(CLAIM, DONE)

    become(held, number=number, left=left)
    looks_again(held)

    assert not ended.is_set()


@pytest.mark.parametrize(("number", "left"), [(1, 49), (1, -1), (2, 600)])
def test_nothing_starts_of_a_lease_that_is_over(held: PlainLease, number: int, left: float) -> None:
    become(held, number=number, left=left)

    assert not held.guarded(Callbacks()).may_start(CLAIM)
    assert not held._running


def test_process_one_starts_nothing_of_a_lease_that_is_over(
    address: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queue.submit(Job("adds", jobs_to_run.add, {"a": 1, "b": 2}))
    monkeypatch.setattr(PlainLease, "_is_over", lambda _lease: True)

    assert not Worker(address, "worker").process_one()
    status = queue.get_status(job_id)
    assert (status["status"], status["attempts"]) == ("pending", 0)


def test_a_lease_does_not_end_beside_a_running_job(address: str, held: PlainLease) -> None:
    callbacks = held.guarded(Callbacks())
    assert callbacks.may_start(CLAIM)
    held.end()
    assert processes(address)

    callbacks.finished(CLAIM, DONE)
    held.end()
    assert not processes(address)


def test_no_job_starts_while_another_thread_ends_the_lease(
    held: PlainLease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the running jobs and the end of the lease a job would be unseen."""
    callbacks, started = held.guarded(Callbacks()), []
    forget, number = held._renewal.forget, held._renewal.lease.number

    def start_first() -> None:
        become(held, number=number, left=600)
        started.append(callbacks.may_start(CLAIM))
        forget()

    monkeypatch.setattr(held._renewal, "forget", start_first)
    held.end()

    assert started == [False]


def test_a_job_that_starts_when_the_lease_has_just_ended_is_released(held: PlainLease) -> None:
    def end_meanwhile(_claim: object) -> bool:
        held.end()
        return True

    callbacks = held.guarded(Callbacks(may_start=end_meanwhile))

    assert not callbacks.may_start(CLAIM)
    assert not held._running


def test_a_lease_that_is_half_over_is_renewed_before_a_claim(held: PlainLease) -> None:
    become(held, number=1, left=299)

    held.for_claim()

    assert held._renewal.lease.left > 300


def test_the_exit_waits_for_the_end_of_this_lease_not_of_an_earlier_one(
    address: str, held: PlainLease
) -> None:
    held._has_left.set()

    held.end_at_exit()

    assert not processes(address)


def test_a_lease_is_another_one_after_its_end(held: PlainLease) -> None:
    held.end()
    held.for_claim()

    assert held._renewal.lease.number == 2
    assert held.guarded(Callbacks()).may_start(CLAIM)


class QueueOfAnApplication(JobQueue):
    """A queue on a connection of the application's own."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def _get_connection(self) -> psycopg.Connection[Any]:
        return self._connection


def test_workers_on_connections_of_an_application_share_a_row(
    address: str, queue: JobQueue
) -> None:
    """The first one that ended deleted it beside the other's job, which another host ran, too."""
    with psycopg.connect(address) as one, psycopg.connect(address) as two:
        first = EndlessLease(BackendOfConnections(None, lambda: one))
        second = EndlessLease(BackendOfConnections(None, lambda: two))
        first.for_claim()
        second.for_claim()

        first.end()
        assert len(processes(address)) == 1
        second.end()
        assert not processes(address)
        first.for_claim()
        assert len(processes(address)) == 1
        first.end()


def test_workers_on_connections_of_an_application_that_are_gone_leave_nothing(
    address: str, queue: JobQueue
) -> None:
    with psycopg.connect(address) as connection:
        gc.collect()
        before = len(plain_lease._endless)
        for _ in range(3):
            Worker(QueueOfAnApplication(connection)).process_one()
        gc.collect()

        assert len(plain_lease._endless) == before
        last = EndlessLease(BackendOfConnections(None, lambda: connection))
        last.for_claim()
        last.end()
        assert not processes(address)


def test_a_lease_goes_on_beside_a_worker_that_renews_none(address: str, held: PlainLease) -> None:
    with psycopg.connect(address) as connection:
        other = EndlessLease(BackendOfConnections(None, lambda: connection))
        other.for_claim()

        held.end()
        assert len(processes(address)) == 1
        assert not held._ended.is_set()
        other.end()
        assert len(processes(address)) == 1
        held.end()
        assert not processes(address)


FORK = """
import os, sys
from gigq import Worker
worker = Worker(sys.argv[1], "worker")
worker.process_one()
pid = os.fork()
if pid == 0:
    worker.process_one()
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_a_child_goes_on_with_a_worker_of_its_parent_under_a_lease_of_its_own(
    address: str, queue: JobQueue, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    queue.submit(Job("first", jobs_to_run.nothing))
    job_id = queue.submit(Job("waits", jobs_to_run.wait_for, {"path": str(go)}))
    command = [sys.executable, "-c", FORK, postgres.with_option(address, LEASE)]
    with subprocess.Popen(command, env=clean_environment(PYTHONPATH=TESTS)):
        wait_until(lambda: is_running(queue, job_id), why="the child runs a job")
        (run,) = {one["run"] for one in queue.get_status(job_id)["executions"]}

        def lease() -> str:
            rows = processes(address)
            return next((one["lease_ends_at"] for one in rows if one["run"] == run), "")

        first = lease()
        wait_until(lambda: lease() > first, why="the child renews its lease")
        go.touch()
    assert not is_running(queue, job_id)


LOSE = """
import os, sys, threading
from gigq import Worker, events

def fill(number):
    os.set_blocking(number, False)
    try:
        while os.write(number, bytes(4096)):
            pass
    except BlockingIOError:
        os.set_blocking(number, True)

events.subscribe(lambda name, _: name == events.LEASE_NOT_RENEWED and threading.Event().wait())
{spoil}
Worker(sys.argv[1], "worker").process_one()
"""


@pytest.mark.parametrize("spoil", ["os.close(2)", "fill(2)"])
def test_neither_its_standard_error_nor_a_subscriber_keeps_a_process_from_its_end(
    spoil: str, address: str, queue: JobQueue, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    queue.submit(Job("waits", jobs_to_run.meet, {"own": str(begun), "other": "/absent"}))
    with relaying_to(address) as relay:
        given = postgres.with_option(through(relay, address), LEASE)
        command = [sys.executable, "-c", LOSE.replace("{spoil}", spoil), given]
        environment = clean_environment(PYTHONPATH=TESTS)
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as worker:
            try:
                wait_until(begun.exists, why="the job runs")
                relay.is_silent = True
                assert worker.wait(60) == plain_lease.EXIT_CODE
            finally:
                worker.kill()
