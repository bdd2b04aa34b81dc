"""Pause and resume: a paused daemon starts no job, and does everything else."""

import json

import pytest
from support import jobs
from support.waiting import wait_until

from gigq.model import clock
from gigqd import exit_codes

pytestmark = pytest.mark.daemon


@pytest.mark.fault("D14")
def test_while_paused_no_job_is_started_and_after_it_all_are(daemons):
    daemon = daemons()

    paused = daemon.command("pause")
    ids = [daemon.submit(jobs.ok, f"job-{number}") for number in range(100)]
    status = daemon.command("status")
    before = daemon.calls()
    resumed = daemon.command("resume")

    assert (paused.returncode, resumed.returncode) == (0, 0)
    assert paused.stdout.startswith("gigqd is paused: it starts no jobs until `gigqd resume`")
    assert resumed.stdout == "gigqd starts jobs again\n"
    assert status.stdout.startswith("gigqd is paused: ")
    assert before == []
    assert {daemon.wait_for_job(job_id)["status"] for job_id in ids} == {"completed"}


@pytest.mark.fault("D14")
def test_a_running_job_goes_on_within_its_limit_while_paused(daemons):
    daemon = daemons({"pools.default.timeout_grace": "100ms"})
    go = daemon.home / "go"
    well = daemon.submit(jobs.wait_for_file, "well", {"path": str(go)})
    late = daemon.submit(jobs.sleep_py, "late", timeout=1.5, max_attempts=1)
    daemon.wait_for_calls("well")
    daemon.wait_for_calls("late")

    daemon.command("pause")
    go.touch()

    assert daemon.wait_for_job(well)["status"] == "completed"
    assert daemon.wait_for_job(late)["status"] == "timeout"
    daemon.command("resume")


@pytest.mark.fault("D14")
def test_a_pause_survives_a_reload_and_not_a_restart(daemons):
    daemon = daemons()
    daemon.command("pause")
    job_id = daemon.submit(jobs.ok, "waiting")

    reload = daemon.command("reload", "--wait")
    status = daemon.status()
    stop = daemon.command("stop")
    daemon.wait_for_exit()
    called = daemon.calls()
    daemon.start()

    assert (reload.returncode, stop.returncode) == (0, 0)
    assert (status["state"], status["paused"]) == ("paused", True)
    assert called == []
    assert daemon.wait_for_job(job_id)["status"] == "completed"


def test_nothing_is_started_that_was_submitted_after_the_answer(daemons):
    daemon = daemons({"pools.default.size": 16})
    too_early = []

    for number in range(50):
        daemon.client.ask("pause")
        job_id = daemon.submit(jobs.ok, f"job-{number}")
        resumed_at = clock.utc_now()
        daemon.client.ask("resume")
        if daemon.wait_for_job(job_id)["started_at"] < resumed_at:
            too_early.append(number)

    assert too_early == []


def test_asking_twice_changes_nothing_and_the_json_says_so(daemons):
    daemon = daemons()

    done = [daemon.command(c, "--json") for c in ("pause", "pause", "resume", "resume")]

    assert [each.returncode for each in done] == [0] * 4
    answers = [json.loads(each.stdout) for each in done]
    assert answers == [
        {"ok": True, "code": 0, "paused": paused} for paused in (True, True, False, False)
    ]
    assert [len(daemon.events(name)) for name in ("paused", "resumed")] == [1, 1]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_without_a_daemon_there_is_nothing_to_pause(daemons, command):
    stopped = daemons(start=False)

    plain, as_json = stopped.command(command), stopped.command(command, "--json")

    assert (plain.returncode, plain.stderr) == (exit_codes.NOT_RUNNING, "gigqd: not running\n")
    assert json.loads(as_json.stdout) == {"ok": False, "code": 7, "error": "not running"}


def test_a_worker_that_dies_while_paused_is_replaced_by_one_that_is_paused_too(daemons):
    daemon = daemons({"pools.default.size": 1})
    daemon.command("pause")
    (pid,) = daemon.worker_pids()

    daemon.command("reload", "--wait")
    daemon.submit(jobs.ok, "waiting")
    wait_until(lambda: daemon.slots("idle"))

    assert pid not in daemon.worker_pids()
    assert daemon.calls() == []
    daemon.command("resume")
    daemon.wait_for_calls("waiting")
