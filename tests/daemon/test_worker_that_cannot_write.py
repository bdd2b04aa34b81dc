"""A worker that can no longer write, while the recorder, which has the file open, still can."""

from __future__ import annotations

import os

import pytest
from support import jobs
from support.store_faults import wait_until_degraded, wait_until_running
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

QUICK_TO_GIVE_UP = {"pools.default.record_timeout": "2s", "queue.lock_timeout": "1s"}


@pytest.mark.fault("G16")
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_a_job_that_limits_the_size_of_files_stops_no_other_job(daemons, hard):
    daemon = daemons({"pools.default.size": 1})
    limited = daemon.submit(jobs.limit_file_size, "limited", {"hard": hard}, max_attempts=1)
    done = daemon.wait_for_job(limited)
    after = daemon.wait_for_job(daemon.submit(jobs.ok, "after"))

    # Only a process with CAP_SYS_RESOURCE raises a hard limit again.
    assert done["status"] in ({"completed", "failed"} if hard else {"completed"})
    assert after["status"] == "completed"


@pytest.mark.fault("G10")
def test_a_file_that_may_no_longer_be_read_degrades_a_daemon_that_has_it_open(daemons):
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    daemon.database.chmod(0)

    wait_until_degraded(daemon, "may not be read")
    daemon.database.chmod(0o600)

    wait_until_running(daemon)
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@pytest.mark.fault("G16")
def test_a_worker_that_no_longer_reaches_the_database_is_replaced_at_its_record_timeout(daemons):
    if os.geteuid() != 0:
        pytest.skip("only root may change the root directory")
    daemon = daemons({"pools.default.size": 1, **QUICK_TO_GIVE_UP})
    gone = daemon.submit(jobs.change_root, "gone", max_attempts=1)
    after = daemon.submit(jobs.ok, "after")

    assert daemon.wait_for_job(after)["status"] == "completed"
    assert daemon.wait_for_job(gone)["executions"][-1]["cause"] == "crashed"


@pytest.mark.fault("G16")
def test_a_worker_that_can_claim_nothing_any_more_is_replaced_too(daemons, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may change the root directory")
    request = tmp_path / "request"
    daemon = daemons({"pools.default.size": 1, **QUICK_TO_GIVE_UP})
    asked = {"request": str(request)}
    daemon.wait_for_job(daemon.submit(jobs.change_root_when_asked, "root", asked))

    request.touch()
    wait_until(lambda: not request.exists(), why="the worker changes its root directory")

    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"
    assert daemon.wait_for_event("worker_recycled")["reason"] == "database_error"
