"""A standby server takes over while a daemon works: the queue goes on without a loss."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress

import pytest
from support import jobs, stores
from support.postgres_standby import with_standby
from support.waiting import wait_until

from gigq import JobQueue
from gigq.errors import StoreUnavailable
from gigq.store.verbs import jobs as stored

pytestmark = pytest.mark.daemon


@pytest.fixture
def synchronous(request):
    return request.param


@pytest.fixture
def pair(synchronous):
    """A server with a standby, and the tables of a queue."""
    with with_standby(synchronous=synchronous) as pair:
        stores.begun_at(pair.address)
        yield pair


@contextmanager
def submitting(daemon):
    """Submit jobs all the time, each again until it is accepted; the ids of those accepted."""
    accepted, is_over = [], threading.Event()

    def submit():
        while not is_over.is_set():
            with suppress(StoreUnavailable):
                accepted.append(daemon.submit(jobs.ok, f"job {len(accepted)}"))

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield accepted
    finally:
        is_over.set()
        thread.join()


def fall_behind(daemon, pair, accepted):
    """Have jobs accepted, and run, of which the standby knows nothing."""
    daemon.breaks("P4", "the standby does not have the executions of the last calls")
    daemon.breaks("P5", "it lets a job start again whose claim it does not have")
    pair.fall_behind()
    known = len(accepted)
    wait_until(lambda: len(accepted) > known + 20, why="jobs are accepted", deadline=60)


@pytest.mark.parametrize(
    "synchronous", [True, False], ids=["synchronous", "asynchronous"], indirect=True
)
def test_the_jobs_that_the_standby_has_are_all_completed(pair, synchronous, daemons, tmp_path):
    daemon = daemons({"queue.database": pair.address, "pools.default.size": 2})
    go = tmp_path / "go"
    long = daemon.submit(jobs.wait_for_file, "long", {"path": str(go)}, max_attempts=1)
    daemon.wait_for_calls("long")
    workers = daemon.worker_pids()

    with submitting(daemon) as accepted:
        wait_until(lambda: len(accepted) > 50, why="jobs are accepted", deadline=60)
        if not synchronous:
            fall_behind(daemon, pair, accepted)
        pair.fail_over()
        known = len(accepted)
        wait_until(lambda: len(accepted) > known + 50, why="the standby accepts jobs", deadline=60)
    go.touch()

    with JobQueue(pair.address) as queue:
        there = {row["id"] for row in stored.by_ids(queue._database, accepted)}
    lost = set(accepted) - there
    assert bool(lost) != synchronous
    for job_id in lost:  # the standby did not have their commits
        del daemon.submitted[job_id]
    for job_id in there:
        daemon.wait_for_job(job_id, "completed", within=60)
    assert [one["status"] for one in daemon.wait_for_job(long)["executions"]] == ["completed"]
    assert daemon.worker_pids() == workers
