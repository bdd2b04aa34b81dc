"""The delays of `[retry]` and of a pool, applied by workers and by the recorder."""

from __future__ import annotations

import pytest
from support import jobs
from support.daemon import on_both_databases
from support.waiting import wait_until

from gigq import Retry
from gigq.model import clock

pytestmark = [pytest.mark.daemon, on_both_databases]

GENERAL = {"retry.first": "20m", "retry.jitter": 0, "retry.longest": "2h"}
POOLS = {
    "pools.default.queues": ["default"],
    "pools.default.size": 1,
    "pools.patient.queues": ["patient"],
    "pools.patient.size": 1,
    "pools.patient.retry_first": "1h",
}


def delay(daemon, job_id):
    """Wait until a job has failed once; the seconds from then to its next start, 0 for none."""
    wait_until(lambda: daemon.job(job_id)["executions"][-1:] and daemon.job(job_id)["attempts"])
    job = daemon.wait_for_job(job_id, "pending")
    ended = clock.parse(job["executions"][0]["completed_at"])
    until = clock.parse(job["retry_after"]) - ended
    return round(until.total_seconds())


def test_jobs_without_delays_get_those_of_their_pool_or_the_general_ones(daemons):
    daemon = daemons({**GENERAL, **POOLS})
    given = {"retry": Retry(first="5m", jitter=0)}

    general = daemon.submit(jobs.boom, "general")
    patient = daemon.submit(jobs.boom, "patient", queue="patient")
    own = daemon.submit(jobs.boom, "own", queue="patient", **given)
    plain = daemon.submit(jobs.boom, "plain", retry_delay=600)

    delays = [delay(daemon, job_id) for job_id in (general, patient, own, plain)]
    assert delays == [1200, 3600, 300, 600]


def test_the_recorder_applies_the_same_delays_to_jobs_whose_worker_died(daemons):
    daemon = daemons({**GENERAL, **POOLS, "pools.default.timeout_grace": "100ms"})

    crashed = daemon.submit(jobs.segv, "crashed", queue="patient")
    killed = daemon.submit(jobs.sleep_c, "killed", timeout=0.3)
    never = daemon.submit(jobs.segv, "never", retry_by_cause={"crash": "never"})

    assert [delay(daemon, job_id) for job_id in (crashed, killed)] == [3600, 1200]
    assert daemon.wait_for_job(never)["attempts"] == 1


def test_without_delays_a_failed_job_is_tried_at_once_and_a_crashed_one_after_a_second(daemons):
    daemon = daemons()

    failed = daemon.wait_for_job(daemon.submit(jobs.boom, "failed", max_attempts=2))
    crashed = daemon.submit(jobs.segv, "crashed", max_attempts=2)

    assert failed["attempts"] == 2
    assert delay(daemon, crashed) == 1
    assert daemon.wait_for_job(crashed)["attempts"] == 2


def test_a_reload_changes_the_delays_of_later_failures(daemons):
    daemon = daemons(GENERAL)
    before = daemon.submit(jobs.boom, "before")
    assert delay(daemon, before) == 1200

    daemon.configure({**GENERAL, "retry.first": "30m"})
    daemon.command("reload", "--wait")

    assert delay(daemon, daemon.submit(jobs.boom, "after")) == 1800
    assert delay(daemon, before) == 1200
