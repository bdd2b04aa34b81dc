"""The clock of the machine is set or jumps: no delayed job is lost, early or started twice."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest
from support.daemon import Daemon
from support.faketime import FakeClock, needs_faketime
from support.waiting import wait_until

pytestmark = [pytest.mark.daemon, needs_faketime]

HOUR = 3600
NIGHT = 9 * HOUR


@pytest.fixture
def daemon(daemons):
    return daemons(
        {"pools.default.size": 3, "retry.first": "30m", "retry.longest": "30m"}, start=False
    )


@pytest.fixture
def clock(daemon):
    made = FakeClock(daemon.home)
    daemon.start(**made.environment)
    return made


def settled(daemon, ids):
    return [job_id for job_id in ids if daemon.job(job_id)["status"] == "completed"]


def wait_for_all(daemon, ids):
    wait_until(
        lambda: settled(daemon, ids) == list(ids),
        30,
        why=f"{[daemon.job(one) for one in ids[-2:]]}",
    )


def require_sound(daemon, ids):
    """Each was called once, not before its time, and no interval of it is negative."""
    for job_id in ids:
        job = daemon.job(job_id)
        (one,) = job["executions"]
        assert len(daemon.calls(job["name"])) == 1
        assert one["due_at"] <= one["started_at"] <= one["completed_at"]


def later(*delays):
    return [("ok", f"after {n} of {delay}", {"delay": delay}) for n, delay in enumerate(delays)]


@pytest.mark.fault("I1")
def test_when_the_clock_is_set_forward_what_is_due_then_starts_once(daemon, clock):
    soon = clock.submit(daemon, *later(*[20 * 60] * 20, *range(1000, 3000, 100)))
    late = clock.submit(daemon, *later(2 * HOUR, "1d"))

    clock.put(HOUR)
    wait_for_all(daemon, soon)

    assert settled(daemon, late) == []
    clock.put(2 * HOUR + 60)
    wait_for_all(daemon, late[:1])
    assert settled(daemon, late[1:]) == []
    require_sound(daemon, [*soon, late[0]])


@pytest.mark.fault("I1")
def test_when_the_clock_is_set_back_nothing_starts_early_and_nothing_is_lost(daemon, clock):
    waiting = clock.submit(daemon, *later(60, 90, 20 * 60, 30 * 60))
    clock.put(-HOUR)
    back = clock.submit(daemon, *later(0, 0.3, 0.5))
    wait_for_all(daemon, back)

    assert settled(daemon, waiting) == []
    clock.put(100)
    wait_for_all(daemon, waiting[:2])
    assert settled(daemon, waiting[2:]) == []
    clock.put(HOUR)
    wait_for_all(daemon, waiting)
    require_sound(daemon, [*back, *waiting])


@pytest.mark.fault("I1")
def test_while_the_clock_is_stepped_again_and_again_each_job_starts_once(daemon, clock):
    ids = []
    for number, step in enumerate([5, -3, HOUR, HOUR - 20, 0, 2 * HOUR, -HOUR, HOUR]):
        specs = [("ok", f"{number} {n}", {"delay": n / 4}) for n in range(8)]
        ids += clock.submit(daemon, *specs)
        clock.put(step)
    clock.put(6 * HOUR)
    wait_for_all(daemon, ids)
    require_sound(daemon, ids)


@pytest.mark.fault("I1")
def test_a_retry_and_an_expiry_follow_the_clock(daemon, clock):
    flaky = ("flaky", "again", {"with": {"failures": 1}, "retry_delay": HOUR})
    (again,) = clock.submit(daemon, flaky)
    wait_until(lambda: daemon.job(again)["retry_after"])
    (expiring,) = clock.submit(daemon, ("ok", "late", {"delay": HOUR, "expires_in": 2 * HOUR}))

    clock.put(3 * HOUR)
    wait_for_all(daemon, [again])
    wait_until(lambda: daemon.job(expiring)["status"] == "cancelled")

    assert daemon.job(expiring)["cause"] == "expired"
    assert daemon.calls("late") == []
    first, second = daemon.job(again)["executions"]
    assert (first["due_why"], second["due_why"]) == ("submit", "retry")
    assert first["completed_at"] <= second["due_at"] <= second["started_at"]


@pytest.mark.fault("I1")
def test_after_a_night_of_suspend_all_due_jobs_start_once_and_the_running_one_ends(daemon, clock):
    go = daemon.home / "go"
    (running,) = clock.submit(
        daemon, ("wait_for_file", "running", {"with": {"path": str(go)}, "timeout": 120})
    )
    daemon.wait_for_calls("running")
    ids = clock.submit(daemon, *later(*[HOUR] * 30, *range(HOUR, 8 * HOUR, 1800)))
    supervisor = psutil.Process(daemon.pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)

    clock.put(NIGHT)
    for process in reversed(processes):
        process.send_signal(signal.SIGCONT)

    wait_for_all(daemon, ids)
    go.touch()
    wait_for_all(daemon, [running])
    require_sound(daemon, [*ids, running])
    assert not daemon.events("job_lost")


@pytest.mark.fault("I1")
def test_a_plain_worker_follows_the_clock_too(tmp_path):
    home = Daemon(None, tmp_path, {})  # for its queue and its ledger; no daemon runs
    clock = FakeClock(home.home)
    command = [sys.executable, "-m", "gigq", "--db", str(home.database), "worker"]
    clock.submit(home, *later(0))
    environment = {**home.environment, **clock.environment}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as worker:
        ids = clock.submit(home, *later(60, 1800, 2 * HOUR))
        clock.put(-HOUR)
        back = clock.submit(home, ("ok", "back", {"delay": 0.3}))
        wait_for_all(home, back)

        assert settled(home, ids) == []
        clock.put(HOUR)
        wait_for_all(home, ids[:2])
        assert settled(home, ids) == ids[:2]
        require_sound(home, [*ids[:2], *back])
        worker.terminate()
