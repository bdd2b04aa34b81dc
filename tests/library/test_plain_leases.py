"""The lease of a process with plain workers: it ends before other hosts run its jobs."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs_to_run, postgres, stores
from support.postgres_relay import relaying_to, through
from support.raw_sql import Program
from support.shell import clean_environment
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.cli import exit_codes
from gigq.execution import plain_lease

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = str(Path(__file__).parents[1])
LEASE = "lease=3"
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
    address: str, queue: JobQueue
) -> None:
    job_id = queue.submit(Job("waits", jobs_to_run.wait_for, {"path": "/absent", "seconds": 600}))
    environment = clean_environment(PYTHONPATH=TESTS)
    with relaying_to(address) as relay:
        given = postgres.with_option(through(relay, address), LEASE)
        command = [sys.executable, "-c", WORK, given]
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True
        ) as worker:
            wait_until(lambda: is_running(queue, job_id), why="the job runs")
            relay.is_silent = True
            _, said = worker.communicate()

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
