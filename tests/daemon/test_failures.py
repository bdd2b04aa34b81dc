"""A failure is visible in the daemon's log, however the application logs."""

from __future__ import annotations

import pytest
from support import app_that_configures_logging as app
from support import jobs
from support.waiting import wait_until

from gigq import Job

pytestmark = pytest.mark.daemon


def events_of(daemon, job_id, *names):
    return [line for name in names for line in daemon.events(name) if line.get("job_id") == job_id]


def test_the_log_says_why_a_job_failed_and_where(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.boom, "a", {"message": "no luck"}, max_attempts=2)
    daemon.wait_for_job(job_id, "failed")
    retrying, failed = events_of(daemon, job_id, "job.retrying", "job.failed")

    for line in (retrying, failed):
        assert (line["error_type"], line["error_message"]) == ("RuntimeError", "no luck")
        assert line["error_file"] == jobs.__file__
        assert "raise RuntimeError(message)" in line["error_traceback"]
        assert line["duration"] > 0
    assert (retrying["attempt"], failed["attempt"], failed["max_attempts"]) == (1, 2, 2)


def test_the_log_says_why_a_job_failed_whose_worker_died(daemons):
    daemon = daemons({"pools.default.timeout_grace": "0s"})

    crashed = daemon.submit(jobs.os_exit, "crashed", max_attempts=1)
    late = daemon.submit(jobs.sleep_py, "late", max_attempts=1, timeout=0.2)
    daemon.wait_for_job(crashed, "failed")
    daemon.wait_for_job(late, "timeout")
    wait_until(lambda: events_of(daemon, crashed, "job.failed"))
    wait_until(lambda: events_of(daemon, late, "job.timeout"))
    (died,) = events_of(daemon, crashed, "job.failed")
    (overran,) = events_of(daemon, late, "job.timeout")

    assert (died["job"], died["cause"], died["error_type"]) == (
        "crashed",
        "crashed",
        "WorkerCrashed",
    )
    assert "exited with code 7" in died["error_message"]
    assert (overran["job"], overran["error_type"]) == ("late", "JobTimeout")
    assert overran["duration"] >= 0.2
    assert (overran["attempt"], overran["max_attempts"]) == (1, 1)


def test_a_job_that_a_parent_failed_is_logged_with_both_names_whoever_settled_the_parent(daemons):
    daemon = daemons()

    parent = daemon.submit(jobs.os_exit, "parent", max_attempts=1)
    child = daemon.submit(jobs.ok, "child", dependencies=[parent])
    daemon.wait_for_job(child, "failed")
    (line,) = wait_until(lambda: events_of(daemon, child, "job.failed"))

    assert (line["job"], line["parent"], line["parent_id"]) == ("child", "parent", parent)


def test_the_log_reports_jobs_whatever_their_application_does_to_the_logging_module(daemons):
    daemon = daemons({"pools.default.size": 1})

    failed = daemon.queue.submit_many([Job(f"f{n}", app.boom, max_attempts=1) for n in range(2)])
    fine = daemon.queue.submit(Job("fine", app.fine))
    ended = [daemon.wait_for_job(job_id) for job_id in (*failed, fine)]
    outputs = [job["executions"][0]["output"] for job in ended]

    for job_id in failed:
        assert [line["level"] for line in events_of(daemon, job_id, "job.failed")] == ["error"]
    for job_id in (*failed, fine):
        (line,) = events_of(daemon, job_id, "packing")
        assert line["logger"] == "shop.orders"
    assert outputs == ["packing\n"] * 3
