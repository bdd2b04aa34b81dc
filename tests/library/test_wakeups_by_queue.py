"""Every change that makes a job due wakes a worker that serves its queue, and no other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support import jobs_to_run
from support.forked import in_a_child

from gigq import Job, JobQueue, Worker, Workflow
from gigq.store.sqlite.processes.wakeup import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator


class Heard:
    """Listens for one list of queues each, as an idle worker does."""

    def __init__(self, path: str) -> None:
        self._listeners = {name: Listener(path, [name]) for name in ("a", "b", "c")}

    def take(self) -> dict[str, int]:
        """Return how many wake-ups came for each queue since the last call."""
        found = {
            name: sum(1 for _ in iter(listener.take, False))
            for name, listener in self._listeners.items()
        }
        return {name: count for name, count in found.items() if count}

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()


@pytest.fixture
def heard(path: str) -> Iterator[Heard]:
    heard = Heard(path)
    yield heard
    heard.close()


def job(queue: str, function=jobs_to_run.nothing, **options) -> Job:
    return Job("job", function, queue=queue, **options)


def run_all(path: str, *queues: str) -> None:
    Worker(path, queues=queues).work_off(lambda: True)


def test_a_submit(queue: JobQueue, heard: Heard) -> None:
    queue.submit(job("b"))

    assert heard.take() == {"b": 1}


def test_a_batch_of_several_queues_of_which_some_jobs_wait(queue: JobQueue, heard: Heard) -> None:
    first = job("a")
    queue.submit_many([job("b"), first, job("b"), job("c", dependencies=[first.id])])

    assert heard.take() == {"a": 1, "b": 2}


def test_a_parent_that_completes(queue: JobQueue, heard: Heard, path: str) -> None:
    flow = Workflow("flow")
    parent = flow.add_job(job("a"))
    flow.add_job(job("b"), [parent])
    flow.add_job(job("c"), [parent])
    flow.submit_all(queue)
    heard.take()
    run_all(path, "a")

    assert heard.take() == {"b": 1, "c": 1}


@pytest.mark.parametrize("policy", ["run", "fail"])
def test_a_parent_that_fails(queue: JobQueue, heard: Heard, path: str, policy: str) -> None:
    parent = job("a", jobs_to_run.fail, max_attempts=1)
    queue.submit_many([parent, job("b", dependencies=[parent.id], on_parent_failure=policy)])
    heard.take()
    run_all(path, "a")

    assert heard.take() == ({"b": 1} if policy == "run" else {})


def test_a_parent_that_has_failed_already(queue: JobQueue, heard: Heard, path: str) -> None:
    parent = job("a", jobs_to_run.fail, max_attempts=1)
    queue.submit(parent)
    run_all(path, "a")
    heard.take()
    queue.submit(job("b", dependencies=[parent.id], on_parent_failure="run"))

    assert heard.take() == {"b": 1}


def test_a_parent_that_is_cancelled(queue: JobQueue, heard: Heard) -> None:
    parent = job("a")
    queue.submit_many([parent, job("b", dependencies=[parent.id], on_parent_failure="run")])
    heard.take()

    assert queue.cancel(parent.id)
    assert heard.take() == {"b": 1}


def test_a_job_that_is_rescheduled(queue: JobQueue, heard: Heard) -> None:
    later = job("b", delay="1h")
    queue.submit_many([later, job("c", delay="1h")])
    heard.take()
    queue.run_now(later.id)

    assert heard.take() == {"b": 1}


def test_a_parent_that_expires(queue: JobQueue, heard: Heard, path: str) -> None:
    parent = job("a", expires_in="1h")
    queue.submit_many([parent, job("b", dependencies=[parent.id], on_parent_failure="run")])
    heard.take()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE jobs SET expires_at = '2020-01-01T00:00:00.000000+00:00' WHERE id = ?",
            (parent.id,),
        )
    run_all(path, "c")

    assert heard.take() == {"b": 1}


def test_a_requeue(queue: JobQueue, heard: Heard, path: str) -> None:
    failed = job("b", jobs_to_run.fail, max_attempts=1)
    queue.submit(failed)
    run_all(path, "b")
    heard.take()

    assert queue.requeue_job(failed.id)
    assert heard.take() == {"b": 1}


def test_a_requeued_job_that_waits_again_wakes_no_worker(
    queue: JobQueue, heard: Heard, path: str
) -> None:
    parent = job("a", jobs_to_run.fail, max_attempts=1)
    child = job("b", dependencies=[parent.id])
    queue.submit_many([parent, child])
    run_all(path, "a")
    heard.take()

    assert queue.requeue_job(parent.id, dependents=True)
    assert heard.take() == {"a": 1}


def test_a_failed_attempt_is_taken_again_or_wakes_its_own_queue(
    queue: JobQueue, heard: Heard, path: str
) -> None:
    queue.submit(job("b", jobs_to_run.fail, max_attempts=2))
    heard.take()

    assert Worker(path, queues=["b"]).process_one()
    assert heard.take() == {"b": 1}


def test_a_claim_of_a_worker_that_died(queue: JobQueue, heard: Heard, path: str) -> None:
    queue.submit(job("b", jobs_to_run.vanish, max_attempts=2))
    in_a_child(lambda: Worker(path, queues=["b"]).process_one())
    heard.take()
    Worker(path, queues=["a"]).process_one()

    assert heard.take() == {"b": 1}


def test_a_worker_wakes_the_next_one_for_its_own_queues_only(
    queue: JobQueue, heard: Heard, path: str
) -> None:
    queue.submit_many([job("a"), job("b"), job("b")])
    heard.take()
    Worker(path, queues=["a"]).process_one()

    assert heard.take() == {}
    Worker(path, queues=["b"]).process_one()
    assert heard.take() == {"b": 1}
