"""Delayed and expiring jobs under a daemon that has nothing else to do."""

from __future__ import annotations

import pytest
from support import jobs
from support.daemon import on_both_databases
from support.waiting import wait_until

from gigq import Job
from gigq.model import clock

pytestmark = [pytest.mark.daemon, on_both_databases]


def test_delayed_jobs_start_by_themselves_and_not_before_their_time(daemons):
    daemon = daemons({"pools.default.size": 3})
    ids = [daemon.submit(jobs.ok, f"j{n}", delay=0.2 + n / 10) for n in range(5)]
    for number, job_id in enumerate(ids):
        job = daemon.wait_for_job(job_id)
        (execution,) = job["executions"]

        assert clock.after(job["created_at"], 0.2 + number / 10) <= execution["due_at"]
        assert execution["due_at"] <= execution["started_at"]
        assert execution["due_why"] == "delay"


def test_a_job_starts_when_it_is_rescheduled_to_now(daemons):
    daemon = daemons()
    job_id = daemon.submit(jobs.ok, "later", delay="1h")
    daemon.wait_for_job(daemon.submit(jobs.ok, "other"))

    assert daemon.queue.run_now(job_id) is True

    job = daemon.wait_for_job(job_id)
    assert [each["due_why"] for each in job["executions"]] == ["rescheduled"]


def test_the_recorder_ends_expired_jobs_while_no_worker_claims(daemons):
    daemon = daemons({"pools.default.queues": ["served"], "pools.default.size": 1})
    job_id = daemon.submit(jobs.ok, "late", expires_in=0.3)
    child = daemon.submit(jobs.ok, "child", dependencies=[job_id])
    runs = {"dependencies": [job_id], "on_parent_failure": "run", "queue": "served"}
    other = daemon.submit(jobs.ok, "other", **runs)
    job = daemon.wait_for_job(job_id)

    assert (job["status"], job["cause"], job["executions"]) == ("cancelled", "expired", [])
    assert daemon.wait_for_job(child)["cause"] == "parent"
    assert daemon.wait_for_job(other)["status"] == "completed"
    assert not daemon.calls("late")

    wait_until(lambda: daemon.events("job.cancelled"))
    (event,) = daemon.events("job.cancelled")
    assert (event["job_id"], event["cause"], event["error_type"]) == (
        job_id, "expired", "JobExpired",
    )  # fmt: skip


def test_more_jobs_than_one_transaction_ends_expire_while_no_worker_claims(daemons):
    daemon = daemons({"pools.default.queues": ["served"], "pools.default.size": 1})
    queue = daemon.queue
    params = {"ledger": str(daemon.ledger), "job": "late"}
    queue.submit_many([Job("late", jobs.ok, params, expires_in=0.5) for _ in range(2400)])
    wait_until(lambda: queue.stats()["pending"] == 0)

    assert queue.stats()["cancelled"] == 2400
