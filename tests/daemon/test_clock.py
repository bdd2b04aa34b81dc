"""The machine's clock is set: no timer is affected, and no record runs backwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import jobs
from support.waiting import wait_until

from gigq.model import clock

pytestmark = pytest.mark.daemon

DAY = 86_400
SEAM = Path(jobs.__file__).parent / "shifted_clock"


@pytest.fixture
def shifted(daemons):
    """A daemon whose calendar clock the test sets, and the function that sets it."""
    daemon = daemons({"pools.default.timeout_grace": 0.2}, start=False)
    offset = daemon.home / "offset"

    def put(seconds: float) -> None:
        whole = offset.with_suffix(".new")
        whole.write_text(str(seconds))
        whole.replace(offset)

    put(0)
    daemon.start(PYTHONPATH=str(SEAM), CLOCK_OFFSET_FILE=str(offset))
    return daemon, put


@pytest.mark.fault("I1")
@pytest.mark.parametrize("step", [DAY, -3600])
def test_a_step_of_the_clock_neither_cuts_a_job_short_nor_lets_it_run_on(shifted, step):
    daemon, put = shifted
    path = daemon.home / "go"
    fits = daemon.submit(
        jobs.wait_for_file, "fits", {"path": str(path)}, timeout=60, max_attempts=1
    )
    overruns = daemon.submit(jobs.sleep_c, "overruns", timeout=2, max_attempts=1)
    for key in ("fits", "overruns"):
        daemon.wait_for_calls(key)

    put(step)

    over = daemon.wait_for_job(overruns)
    path.touch()
    done = daemon.wait_for_job(fits)
    assert (over["status"], done["status"]) == ("timeout", "completed")
    assert over["executions"][0]["late"] < 1.0
    assert 2.0 <= over["executions"][0]["wall_time"] < 5.0
    for job in (over, done):
        assert job["completed_at"] >= job["started_at"]
        assert job["executions"][0]["completed_at"] >= job["executions"][0]["started_at"]
    assert daemon.status()["state"] == "running"
    assert not daemon.events("job_lost")


@pytest.mark.fault("I1")
def test_a_delay_is_over_when_the_calendar_clock_says_so(shifted):
    daemon, put = shifted
    job_id = daemon.submit(jobs.flaky, "again", {"failures": 2}, retry_delay=3600, max_attempts=3)
    wait_until(lambda: daemon.job(job_id)["retry_after"])

    put(2 * 3600)
    daemon.wait_for_calls("again", 2)
    wait_until(lambda: daemon.job(job_id)["status"] == "pending")
    due = clock.parse(daemon.job(job_id)["retry_after"]) - clock.parse(clock.utc_now())

    assert 2.9 * 3600 < due.total_seconds() <= 3 * 3600
    put(-DAY)
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "due"))["status"] == "completed"
    assert len(daemon.calls("again")) == 2
    put(DAY)
    assert daemon.wait_for_job(job_id)["status"] == "completed"


@pytest.mark.fault("I1")
def test_a_stop_keeps_its_deadline_when_the_clock_is_set(shifted):
    daemon, put = shifted
    daemon.submit(jobs.sleep_py, "long", max_attempts=2)
    daemon.wait_for_calls("long")
    daemon.signal(15)
    daemon.wait_for_event("drain_started")

    put(-DAY)

    assert daemon.wait_for_exit(10) == 0
    (execution,) = daemon.job(daemon.queue.list_jobs()[0]["id"])["executions"]
    assert execution["cause"] == "stopped"
    assert execution["completed_at"] >= execution["started_at"]
