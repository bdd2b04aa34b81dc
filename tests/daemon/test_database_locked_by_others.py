"""A database that others keep locked: it delays no kill, no respawn, no command, and no outcome."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from support import jobs
from support.store_faults import (
    integrity,
    locked,
    prompt_status,
    stopped_writer,
    wait_until_degraded,
    wait_until_running,
)
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

KILLED_WITHIN = 1.0
REPLACED_WITHIN = 5.0


@pytest.mark.fault("G1", "G4")
@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_kills_and_respawns_are_on_time_while_the_database_is_locked(daemons, seconds):
    daemon = daemons(
        {
            "pools.default.size": 4,
            "pools.default.timeout_grace": 0.2,
            "pools.default.record_timeout": "3s",
            "queue.lock_timeout": 1,
        }
    )
    go = daemon.home / "go"
    late = [daemon.submit(jobs.sleep_c, f"late {n}", timeout=2, max_attempts=1) for n in (1, 2)]
    dying = daemon.submit(jobs.sleep_py, "dying", max_attempts=1)
    done = daemon.submit(jobs.wait_for_file, "done", {"path": str(go)}, max_attempts=1)
    keys = ("late 1", "late 2", "dying", "done")
    pids = {key: daemon.wait_for_calls(key)[0].pid for key in keys}

    with locked(daemon.database):
        freed_at = time.monotonic() + seconds
        os.kill(pids["dying"], signal.SIGKILL)
        go.touch()
        gone = {pids[key] for key in ("late 1", "late 2", "dying")}
        wait_until(lambda: gone <= {each["pid"] for each in daemon.events("worker_exited")})
        wait_until(lambda: len(daemon.worker_pids()) == 4, REPLACED_WITHIN)
        status = wait_until_degraded(daemon, "locked")
        assert status["unrecorded_exits"] == 3
        wait_until(lambda: prompt_status(daemon) and time.monotonic() > freed_at, seconds + 5)

    ends = {job_id: daemon.wait_for_job(job_id) for job_id in (*late, dying, done)}
    wait_until_running(daemon)
    assert [ends[job_id]["status"] for job_id in (*late, dying, done)] == [
        *("timeout", "timeout"),
        *("failed", "completed"),
    ]
    for end in ends.values():
        assert len(end["executions"]) == 1
    for job_id in late:
        assert ends[job_id]["executions"][0]["late"] < KILLED_WITHIN
    assert pids["done"] in daemon.worker_pids()
    assert not daemon.events("job.superseded")


@pytest.mark.fault("G1")
def test_a_writer_that_was_stopped_inside_a_transaction_is_reported_and_waited_for(daemons):
    daemon = daemons({"queue.lock_timeout": 1})
    running = daemon.submit(jobs.sleep_py, "running", {"seconds": 1})
    daemon.wait_for_calls("running")

    with stopped_writer(daemon.database):
        status = wait_until_degraded(daemon, "locked")
        pids = daemon.worker_pids()

    assert "find the process" in status["reason"]
    wait_until_running(daemon)
    assert daemon.wait_for_job(running)["status"] == "completed"
    assert daemon.worker_pids() == pids
    assert integrity(daemon.database) == "ok"


@pytest.mark.fault("G2")
def test_a_start_waits_until_a_lock_is_free(daemons):
    daemon = daemons({"daemon.start_timeout": 30}, start=False)
    daemon.database.touch()

    with locked(daemon.database):
        starting = threading.Thread(target=daemon.start)
        starting.start()
        wait_until(lambda: daemon.events("db_down"))
        assert starting.is_alive()
    starting.join()

    assert "locked" in daemon.events("db_down")[0]["error"]
    wait_until_running(daemon)


@pytest.mark.fault("B15")
def test_a_stop_does_not_wait_for_a_lock_and_the_next_start_settles_what_was_lost(daemons):
    daemon = daemons({"daemon.stop_timeout": 1, "queue.lock_timeout": 1})
    job_id = daemon.submit(jobs.sleep_py, "cut", {"seconds": 3600}, max_attempts=2)
    daemon.wait_for_calls("cut")

    with locked(daemon.database):
        daemon.signal(signal.SIGTERM)
        code = daemon.wait_for_exit(60)

    assert code in (0, 79)
    daemon.start()
    daemon.wait_for_calls("cut", 2)
    first = daemon.job(job_id)["executions"][0]
    assert first["cause"] == "lost"
    daemon.queue.cancel(job_id, running=True)
    daemon.wait_for_job(job_id, "cancelled")


@pytest.mark.fault("E7")
def test_after_a_power_cut_the_file_is_whole_and_what_ran_is_recorded_as_lost(daemons):
    daemon = daemons({"pools.default.size": 3})
    running = [daemon.submit(jobs.sleep_py, f"job {n}", {"seconds": 1}) for n in range(3)]
    for number in range(3):
        daemon.wait_for_calls(f"job {number}")
    pids = [slot["pid"] for slot in daemon.status()["slots"]]

    os.kill(daemon.pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    daemon.kill()

    assert integrity(daemon.database) == "ok"
    daemon.start()
    for job_id in running:
        causes = [each["cause"] for each in daemon.wait_for_job(job_id)["executions"]]
        assert causes == ["lost", None]


@pytest.mark.fault("G5")
def test_a_job_that_ends_at_its_very_limit_has_one_outcome(daemons):
    daemon = daemons({"pools.default.size": 4, "pools.default.timeout_grace": 0})
    close = [0.2 + n * 0.002 for n in range(40)]
    # On a slow machine all of these are over the limit.
    wide = [n * 0.02 for n in range(20)]
    ids = [
        daemon.submit(jobs.sleep_py, f"job {n}", {"seconds": each}, timeout=0.25, max_attempts=1)
        for n, each in enumerate(close + wide)
    ]

    ends = [daemon.wait_for_job(job_id, within=60) for job_id in ids]

    assert {end["status"] for end in ends} == {"completed", "timeout"}
    for end in ends:
        (execution,) = end["executions"]
        assert execution["status"] == end["status"]
    wait_until(lambda: daemon.status()["unrecorded_exits"] == 0)
