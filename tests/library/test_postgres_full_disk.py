"""A worker and a client while the disk of a PostgreSQL server is full."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import postgres
from support.postgres_disk import SmallDisk
from support.postgres_workers import all_completed, troubles, working
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ran: list[int] = []


def large(text: str = "") -> str:
    """A job whose result takes room."""
    _ran.append(len(text))
    return os.urandom(200_000).hex()


def small() -> None:
    pass


def warm_up(queue: JobQueue) -> None:
    """Run a small job, so that a claim needs no further page."""
    queue.submit(Job("small", small))
    worker = Worker(queue)
    assert worker.process_one()


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """The errors that a worker waits out."""
    with troubles() as found:
        yield found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_an_outcome_waits_for_room_on_the_disk(problems: list[str]) -> None:
    with postgres.own_server() as server:
        disk = SmallDisk(server)
        address = f"{server.address}&options=-cdefault_tablespace%3Dsmall"
        with JobQueue(address) as queue:
            warm_up(queue)
            job_id = queue.submit(Job("large", large))
            disk.fill()
            with pytest.raises(StoreUnavailable, match="make room on the server's disk"):
                queue.submit(Job("large", large, {"text": os.urandom(200_000).hex()}))
            with working(address, 1):
                wait_until(lambda: problems)
                assert queue.get_status(job_id)["status"] == "running"
                disk.make_room()
                all_completed(queue, 2)
    assert "make room on the server's disk" in problems[0]
    assert _ran == [0]
