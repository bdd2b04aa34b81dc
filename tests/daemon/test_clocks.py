"""The wall clock steps while a daemon works: no limit, delay of its own or stop heeds it."""

from __future__ import annotations

import pytest
from support import jobs
from support.hooks import hooked
from support.waiting import wait_until

from gigq import clock

pytestmark = pytest.mark.daemon

STEPPING = """
    import pathlib
    file = pathlib.Path({offset!r})
    now = module.utc_now

    def stepped():
        seconds = float(file.read_text()) if file.exists() else 0.0
        return module.after(now(), seconds)

    module.utc_now = stepped
"""


@pytest.mark.fault("I1")
@pytest.mark.parametrize("step", [-86_400, 86_400, 3_600])
def test_a_clock_that_steps_moves_no_limit_and_no_stop(daemons, tmp_path, step):
    offset = tmp_path / "offset"
    daemon = daemons({"daemon.stop_timeout": "2s", "pools.default.timeout_grace": 0}, start=False)
    daemon.start(**hooked(tmp_path / "hook", "gigq.clock", STEPPING.format(offset=str(offset))))
    overrun = daemon.submit(jobs.sleep_c, "overruns", timeout=2, max_attempts=1)
    patient = daemon.submit(jobs.wait_for_file, "patient", {"path": str(daemon.home / "go")})
    daemon.wait_for_calls("overruns")
    daemon.wait_for_calls("patient")

    offset.write_text(str(step))
    job = daemon.wait_for_job(overrun)
    (daemon.home / "go").touch()
    done = daemon.wait_for_job(patient)
    after = daemon.wait_for_job(daemon.submit(jobs.flaky, "flaky", {"failures": 1}))
    daemon.stop()

    (execution,) = job["executions"]
    seen = clock.parse(execution["completed_at"]) - clock.parse(execution["started_at"])
    assert abs(seen.total_seconds() - step) < 60, "the database's times have stepped"
    assert job["status"] == "timeout"
    assert 1.9 <= execution["wall_time"] < 10.0
    assert (done["status"], done["attempts"]) == ("completed", 1)
    assert (after["status"], after["attempts"]) == ("completed", 2)


@pytest.mark.fault("I1")
def test_an_hour_gone_back_does_not_keep_dead_workers_from_being_replaced(daemons, tmp_path):
    offset = tmp_path / "offset"
    daemon = daemons(start=False)
    daemon.start(**hooked(tmp_path / "hook", "gigq.clock", STEPPING.format(offset=str(offset))))

    offset.write_text("-3600")
    job = daemon.wait_for_job(daemon.submit(jobs.segv, "deadly", max_attempts=2))

    assert [e["cause"] for e in job["executions"]] == ["crashed", "crashed"]
    wait_until(lambda: len(daemon.slots("idle")) == 2)
