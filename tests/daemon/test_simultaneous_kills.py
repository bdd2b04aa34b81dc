"""Supervisor, recorder, workers or all killed at once: nothing runs twice, nothing is lost."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from support import jobs
from support.files import open_up
from support.hooks import hooked
from support.other_user import SEARCH_PATH, interpreter_for
from support.waiting import wait_until

from gigqd.linux import syscalls

pytestmark = pytest.mark.daemon


def is_gone(pid):
    try:
        return not syscalls.read_process(pid).alive
    except ProcessLookupError:
        return True


@pytest.mark.fault("E1")
@pytest.mark.soak
def test_a_supervisor_killed_50_times_at_random_loses_no_job(daemons):
    daemon = daemons({"pools.default.size": 4})
    chance = random.Random(20261124)
    ids = [
        daemon.submit(jobs.sleep_py, f"job-{n}", {"seconds": 0.2}, max_attempts=100)
        for n in range(1_000)
    ]

    for _ in range(50):
        moment = time.monotonic() + chance.uniform(0.0, 1.0)
        wait_until(lambda moment=moment: time.monotonic() > moment)
        pids = [slot["pid"] for slot in daemon.status()["slots"] if slot["pid"]]
        daemon.kill()
        wait_until(lambda pids=pids: all(map(is_gone, pids)), 2.0, why="workers gone in a second")
        daemon.start()
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed", within=300)


@pytest.mark.fault("E3")
def test_without_a_death_signal_idle_workers_leave_and_a_busy_one_is_ended_by_the_next_start(
    daemons, tmp_path
):
    daemon = daemons(start=False)
    disarm = "module.die_with_parent = lambda _parent: None"
    daemon.start(**hooked(tmp_path / "hook", "gigqd.linux.syscalls", disarm))
    job_id = daemon.submit(jobs.sleep_py, "busy", timeout=600)
    (first,) = daemon.wait_for_calls("busy")
    idle = [pid for pid in daemon.worker_pids() if pid != first.pid]

    daemon.kill()
    wait_until(lambda: all(map(is_gone, idle)), 2.0, why="idle workers are gone")
    lived = not is_gone(first.pid)
    daemon.start()
    _, second = daemon.wait_for_calls("busy", 2)

    assert lived
    assert is_gone(first.pid)
    assert second.pid != first.pid
    assert [e["cause"] for e in daemon.job(job_id)["executions"]] == ["lost", None]


@pytest.mark.fault("E7")
def test_after_everything_died_at_once_the_database_is_whole_and_jobs_run_again(daemons):
    daemon = daemons({"pools.default.size": 4})
    ids = [daemon.submit(jobs.sleep_py, f"job-{n}", {"seconds": 0.2}) for n in range(8)]
    wait_until(lambda: len(daemon.calls()) >= 4)

    pids = [daemon.pid, *(slot["pid"] for slot in daemon.status()["slots"] if slot["pid"])]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    daemon.wait_for_exit()
    with closing(sqlite3.connect(daemon.database)) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
    daemon.start()
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed")

    assert integrity == [("ok",)]
    causes = {e["cause"] for job_id in ids for e in daemon.job(job_id)["executions"]}
    assert causes == {None, "lost"}


@pytest.mark.fault("E10")
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_workers_that_run_as_another_user_die_with_the_supervisor_too(daemons, tmp_path):
    open_up(tmp_path)
    daemon = daemons({"daemon.user": "nobody"}, start=False)
    daemon.interpreter = interpreter_for("nobody")
    os.chown(daemon.home, 65534, 65534)
    daemon.start(PYTHONPATH=SEARCH_PATH)
    job_id = daemon.submit(jobs.sleep_c, "long", timeout=600)
    daemon.wait_for_calls("long")
    pids = [slot["pid"] for slot in daemon.status()["slots"]]

    daemon.kill()

    wait_until(lambda: all(map(is_gone, pids)), 2.0, why="gone with the supervisor")
    assert daemon.job(job_id)["status"] == "running"


@pytest.mark.fault("E11")
def test_a_recorder_that_dies_again_and_again_is_replaced_each_time(daemons):
    daemon = daemons()
    recorders = set()

    for number in range(4):
        recorder = wait_until(lambda: daemon.status()["slots"][0]["pid"], 30)
        recorders.add(recorder)
        os.kill(recorder, 11)
        job_id = daemon.submit(jobs.segv, f"deadly-{number}", max_attempts=1)
        job = daemon.wait_for_job(job_id, "failed", within=40)

        assert job["cause"] == "crashed"

    assert len(recorders) == 4
    wait_until(lambda: daemon.status()["unrecorded_exits"] == 0)


@pytest.mark.fault("E12")
@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.soak)])
def test_the_largest_worker_is_the_kernels_choice_and_not_the_supervisor(daemons, kills):
    daemon = daemons({"pools.default.size": 2})
    supervisor = daemon.pid
    eager = {pid: oom_score_adj(pid) for pid in daemon.worker_pids()}
    ids = [
        daemon.submit(
            jobs.sleep_py, f"job-{n}", {"seconds": 0.3}, max_attempts=99, crash_limit=None
        )
        for n in range(10)
    ]

    for _ in range(kills):
        victim = wait_until(lambda: max(map(weight, daemon.worker_pids()), default=None))
        with suppress(ProcessLookupError):
            os.kill(victim[1], 9)
        wait_until(lambda victim=victim: victim[1] not in daemon.worker_pids())
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed", within=60)

    assert daemon.pid == supervisor
    assert min(eager.values()) > oom_score_adj(supervisor)


def oom_score_adj(pid):
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def weight(pid):
    with suppress(psutil.Error):
        return psutil.Process(pid).memory_info().rss, pid
    return 0, pid
