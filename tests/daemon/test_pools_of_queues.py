"""Pools that serve different queues: each job wakes a worker that serves its queue."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from support import jobs

from gigq.model import clock

APART = {
    "pools.default.queues": ["default"],
    "pools.mail.size": 2,
    "pools.mail.queues": ["mail"],
    "pools.rest.size": 1,
    "pools.rest.queues": ["*", "!default", "!mail"],
}
SEVERAL = 12


@pytest.fixture
def daemon(daemons):
    return daemons(APART)


@pytest.mark.parametrize("queue", ["mail", "default", "reports"])
def test_no_pool_takes_the_wakeup_of_another(daemon, queue):
    """Each of the others has a worker asleep: the more turns, the more would lose theirs."""
    for number in range(SEVERAL):
        job_id = daemon.submit(jobs.ok, f"{queue} {number}", queue=queue)

        assert daemon.wait_for_job(job_id)["status"] == "completed"


def test_a_child_in_another_pool_starts_when_its_parent_is_done(daemon):
    parents = []
    for number in range(SEVERAL):
        queue = ("default", "mail", "reports")[number % 3]
        parents = [daemon.submit(jobs.ok, f"{number}", queue=queue, dependencies=parents)]

    assert daemon.wait_for_job(parents[0])["status"] == "completed"


def test_a_requeued_job_and_a_second_attempt_wake_their_own_pool(daemon):
    failed = daemon.submit(jobs.boom, "fails", queue="mail", max_attempts=2)

    assert daemon.wait_for_job(failed)["attempts"] == 2
    assert daemon.queue.requeue_job(failed)
    assert daemon.wait_for_job(failed)["status"] == "failed"


@pytest.mark.parametrize("delay", [0, 1.5])
def test_what_sql_makes_due_in_one_queue_wakes_its_pool(daemon, delay):
    """No submit and no worker knows of it: only the recorder's look can wake the pool."""
    job_id = daemon.submit(jobs.ok, "parked")
    done = daemon.wait_for_job(job_id)
    daemon.breaks("P4", "SQL starts a completed job again")
    due_at = clock.after(clock.utc_now(), delay) if delay else None
    change = "UPDATE jobs SET status = 'pending', queue = 'mail', retry_after = ? WHERE id = ?"
    with closing(sqlite3.connect(daemon.database)) as connection, connection:
        connection.execute(change, (due_at, job_id))

    assert done["status"] == "completed"
    assert daemon.wait_for_calls("parked", 2)
    assert daemon.wait_for_job(job_id)["status"] == "completed"
