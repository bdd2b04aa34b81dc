"""A supervisor that can open no further file goes on, and recovers."""

from __future__ import annotations

import os
import resource
import signal

import pytest
from support import jobs
from support.waiting import wait_until

from gigqd.cli.control_client import NotAnswering

pytestmark = pytest.mark.daemon


@pytest.mark.fault("F16")
@pytest.mark.parametrize("limit", [24, 5], ids=["below what is open", "below the spare ones"])
def test_a_daemon_without_descriptors_goes_on_and_recovers(daemons, limit):
    daemon = daemons({"pools.default.timeout_grace": 0})
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    job_id = daemon.submit(jobs.ignore_signals, "deaf", timeout=1, max_attempts=1)
    daemon.wait_for_calls("deaf")

    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
    daemon.wait_for_event("files_exhausted")
    if limit > 5:
        daemon.wait_for_job(job_id, "timeout")
        asked = daemon.client.ask("status", within=10.0)
    else:
        with pytest.raises(NotAnswering):
            daemon.client.ask("status", within=1.0)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    daemon.wait_for_event("files_available")
    after = daemon.submit(jobs.ok, "after")

    assert daemon.wait_for_job(job_id)["status"] == "timeout"
    assert daemon.wait_for_job(after)["status"] == "completed"
    wait_until(lambda: len(daemon.slots("idle")) == 2)
    assert len(daemon.events("files_exhausted")) == 1
    assert limit == 5 or "state" in asked


def test_workers_come_up_after_the_hard_limit_was_lowered(daemons):
    daemon = daemons({"pools.default.size": 1})
    (worker,) = daemon.slots("idle")
    limit = resource.prlimit(worker["pid"], resource.RLIMIT_NOFILE)[0] - 1

    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limit))
    os.kill(worker["pid"], signal.SIGKILL)
    job_id = daemon.submit(jobs.ok, "after")

    assert daemon.wait_for_job(job_id)["status"] == "completed"
