"""The daemon deletes finished jobs by itself, as its configuration says."""

from __future__ import annotations

import pytest
from support import jobs
from support.waiting import wait_until

from gigq import Job

pytestmark = pytest.mark.daemon


def test_only_so_many_finished_jobs_are_kept_and_the_log_says_so(daemons):
    daemon = daemons({"retention.completed_count": 3, "retention.failed_age": "0s"})
    daemon.breaks("P4", "the executions of pruned jobs are deleted with them")
    daemon.breaks("P6", "so are the jobs")
    ids = [daemon.submit(jobs.ok, f"job {number}") for number in range(8)]
    for id_ in ids[-3:]:
        daemon.wait_for_job(id_, "completed")
    wait_until(lambda: daemon.queue.stats()["completed"] == 3, deadline=40)
    event = daemon.wait_for_event("jobs_pruned")

    assert {row["id"] for row in daemon.queue.list_jobs()} == set(ids[-3:])
    assert event["pruned"]["completed"] > 0
    assert sum(found["pruned"]["completed"] for found in daemon.events("jobs_pruned")) == 5


def test_the_room_of_what_was_deleted_goes_back_to_the_disk(daemons):
    daemon = daemons({"retention.cancelled_count": 1, "pools.default.queues": ["default"]})
    daemon.breaks("P4", "the executions of pruned jobs are deleted with them")
    daemon.breaks("P6", "so are the jobs")
    queue = daemon.queue
    large = {"ledger": "none", "job": "large", "value": "x" * 1_000_000}
    ids = queue.submit_many([Job("large", jobs.ok, large, queue="elsewhere") for _ in range(40)])
    for id_ in ids:
        queue.cancel(id_)
    wait_until(lambda: daemon.database.stat().st_size > 30_000_000, deadline=40)

    wait_until(lambda: daemon.database.stat().st_size < 20_000_000, deadline=60)
    assert [row["id"] for row in queue.list_jobs()] == ids[-1:]
    assert daemon.status()["state"] == "running"
