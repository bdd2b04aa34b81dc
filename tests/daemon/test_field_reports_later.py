"""What went wrong with waiting jobs under the workers of other queues, from public bug reports."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support import jobs
from support.waiting import wait_until

from gigq import Job, Retry
from gigq.model import clock

pytestmark = pytest.mark.daemon

LAST = datetime.max.replace(tzinfo=UTC)
TWENTY_MINUTES = {"retry.first": "20m", "retry.longest": "2h"}
EAGER = {"pools.eager.queues": ["eager"], "pools.eager.size": 1, "pools.eager.retry_first": 0}
GENERAL = {"pools.default.queues": ["default"], "pools.default.size": 1}


@pytest.mark.fault("L14")
def test_an_idle_daemon_waits_for_a_time_that_no_timer_can_hold(daemons):
    """OptimalBits/bull#244: a timer for more than 24 days ended at once, again and again."""
    daemon = daemons()
    far = daemon.submit(jobs.ok, "far", run_at=LAST)
    daemon.wait_for_job(daemon.submit(jobs.ok, "soon", delay=0.3))

    assert daemon.job(far)["status"] == "pending"
    assert not daemon.calls("far")
    assert daemon.queue.run_now(far) is True
    assert daemon.wait_for_job(far)["status"] == "completed"


@pytest.mark.fault("L19")
def test_a_retry_that_waits_survives_the_daemon(daemons):
    """rq/rq#1758: a retry that waited was gone with the worker that had planned it."""
    daemon = daemons()
    job_id = daemon.submit(jobs.flaky, "flaky", {"failures": 1}, retry=[2])
    wait_until(lambda: daemon.job(job_id)["attempts"] == 1)
    planned = daemon.wait_for_job(job_id, "pending")["retry_after"]
    daemon.kill()
    daemon.start()
    job = daemon.wait_for_job(job_id)
    second = job["executions"][1]

    assert (job["status"], job["attempts"]) == ("completed", 2)
    assert (second["due_at"], second["due_why"]) == (planned, "retry")
    assert second["started_at"] >= planned


@pytest.mark.fault("L20")
def test_what_became_due_or_expired_while_no_daemon_ran_does_so_at_the_start(daemons):
    """rq/rq#1445: jobs whose time was past when the scheduler looked never ran."""
    daemon = daemons(start=False)
    late = daemon.submit(jobs.ok, "late", delay=0.2)
    expired = daemon.submit(jobs.ok, "expired", expires_in=0.2)
    child = daemon.submit(jobs.ok, "child", dependencies=[expired], on_parent_failure="run")
    expires_at = daemon.job(expired)["expires_at"]
    wait_until(lambda: clock.utc_now() > expires_at)
    daemon.start()

    assert daemon.wait_for_job(late)["status"] == "completed"
    assert daemon.wait_for_job(child)["status"] == "completed"
    assert daemon.job(expired)["cause"] == "expired"
    assert not daemon.calls("expired")


@pytest.mark.fault("L21")
def test_while_paused_no_delayed_job_starts_and_jobs_expire(daemons):
    """taskforcesh/bullmq#1321: jobs that were tried again started although the queue was paused."""
    daemon = daemons()
    failing = daemon.submit(jobs.boom, "failing", retry=["1h"], max_attempts=2)
    daemon.wait_for_calls("failing")
    daemon.wait_for_job(failing, "pending")
    daemon.command("pause")
    daemon.queue.reschedule(failing, delay=0.1)
    delayed = daemon.submit(jobs.ok, "delayed", delay=0.1)
    expiring = daemon.submit(jobs.ok, "expiring", expires_in=0.5)

    assert daemon.wait_for_job(expiring)["cause"] == "expired"
    assert (len(daemon.calls("failing")), daemon.calls("delayed")) == (1, [])

    daemon.command("resume")

    assert daemon.wait_for_job(failing)["attempts"] == 2
    assert daemon.wait_for_job(delayed)["status"] == "completed"


@pytest.mark.fault("L22")
def test_jobs_that_are_due_at_one_time_start_once_each(daemons):
    """Bogdanp/dramatiq#431: delayed messages were put into the queue twice and ran twice."""
    daemon = daemons({"pools.default.size": 4})
    params = {"ledger": str(daemon.ledger), "job": "at once"}
    ids = daemon.queue.submit_many([Job("at once", jobs.ok, params, delay=1) for _ in range(400)])
    wait_until(lambda: daemon.queue.stats()["completed"] == 400)

    assert all(len(daemon.job(job_id)["executions"]) == 1 for job_id in ids)
    assert len(daemon.calls("at once")) == 400


@pytest.mark.fault("L23")
def test_a_delay_of_zero_is_not_taken_for_none(daemons):
    """Bogdanp/dramatiq#388: a delay of 0 was taken for none, and the usual one was used."""
    daemon = daemons({**TWENTY_MINUTES, **EAGER, **GENERAL})
    zeros = [
        {"queue": "eager"},
        {"retry_delay": 0},
        {"retry": [0]},
        {"retry": Retry(first=0)},
        {"retry": [600], "retry_by_cause": {"error": 0}},
    ]
    ids = [daemon.submit(jobs.boom, f"job {n}", **given) for n, given in enumerate(zeros)]

    assert [daemon.wait_for_job(job_id)["attempts"] for job_id in ids] == [3] * len(zeros)
