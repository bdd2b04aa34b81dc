"""Two daemons of two names on one database: what dies with one is taken over by the other."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest
from support import jobs
from support.configs import clean_environment, write_config
from support.daemon import on_both_databases
from support.finished_jobs import run_sql
from support.waiting import wait_until

from gigqd import exit_codes

pytestmark = pytest.mark.daemon

WITH_A_DEFECT = """
import sys
from gigqd import cli
from gigqd.supervisor.loop import Supervisor
Supervisor._report_state = lambda _supervisor: 1 // 0
sys.exit(cli.main(["--config", sys.argv[1], "run"]))
"""


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def second(daemons, launched):
    """A second daemon, of another name, on the database of a first one."""
    first = daemons({"pools.default.size": 1}, lease=3)
    other = launched({"queue.database": first.address, "daemon.name": "second"})
    yield first, other
    other.command("stop")


@on_both_databases
@pytest.mark.fault("E5", "G17")
def test_a_living_daemon_ends_what_a_dead_one_left_and_its_job_goes_on(second):
    first, other = second
    job_id = first.submit(jobs.spawn_children, "family", timeout=600, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(first.ledger)) == 6 and pids)
    assert other.command("start").returncode == 0

    first.kill()

    wait_until(lambda: first.job(job_id)["status"] == "failed", why="the job is settled")
    assert first.job(job_id)["executions"][-1]["cause"] == "lost"
    assert all(is_gone(pid) for pid in children)


@on_both_databases
@pytest.mark.fault("E5", "G17")
def test_a_new_recorder_ends_what_a_dead_daemon_left_before_it_settles_its_job(second):
    first, other = second
    job_id = first.submit(jobs.spawn_children, "family", timeout=600, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(first.ledger)) == 6 and pids)
    assert other.command("start").returncode == 0
    slots = json.loads(other.command("status", "--json").stdout)["slots"]
    recorder = psutil.Process(next(slot["pid"] for slot in slots if slot["role"] == "recorder"))
    recorder.suspend()

    first.kill()
    recorder.kill()

    wait_until(lambda: first.job(job_id)["status"] == "failed", why="the job is settled")
    assert all(is_gone(pid) for pid in children)


@on_both_databases
@pytest.mark.fault("E5")
def test_the_next_start_after_a_reboot_settles_what_was_running(daemons, tmp_path):
    daemon = daemons({"pools.default.size": 1}, lease=3)
    go = tmp_path / "go"
    job_id = daemon.submit(jobs.wait_for_file, "runs", {"path": str(go)}, max_attempts=2)
    daemon.wait_for_calls("runs")
    daemon.kill()
    kind, offset, word, boot, *process = daemon.job(job_id)["executions"][-1]["run"].split(":")
    of_before = ":".join([kind, offset, word, f"{boot}x", *process])
    for table in ("job_executions", "gigq_processes"):
        run_sql(daemon.address, f"UPDATE {table} SET run = ?", of_before)
    go.touch()

    daemon.start()

    causes = [one["cause"] for one in daemon.wait_for_job(job_id)["executions"]]
    assert causes == ["lost", None]


@pytest.mark.fault("E5")
def test_a_run_that_a_defect_has_ended_is_looked_after(tmp_path):
    config = write_config(tmp_path)
    command = [sys.executable, "-c", WITH_A_DEFECT, str(config)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, check=False)
    left = [path.name.partition("-")[0] for path in (tmp_path / "jobs.db.gigq").iterdir()]

    assert done.returncode == exit_codes.INTERNAL_ERROR, done
    assert "run" in left
    assert "orderly" not in left
