"""A worker that dies is replaced, its job tried again or failed with the cause; no job is lost."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time

import psutil
import pytest
from support import jobs
from support.daemon import on_both_databases
from support.waiting import wait_until

from gigqd.linux import syscalls

pytestmark = [pytest.mark.daemon, on_both_databases]

NUMBERS = pytest.mark.parametrize("number", [150, pytest.param(500, marks=pytest.mark.soak)])


def test_a_death_in_a_job_is_a_failed_attempt_with_its_cause(daemons):
    daemon = daemons()
    ways = [
        (jobs.segv, None, "SIGSEGV"),
        (jobs.os_exit, 7, None),
        (jobs.kill_worker, None, "SIGKILL"),
    ]
    ids = [daemon.submit(function, function.__name__, max_attempts=2) for function, _, _ in ways]

    for job_id, (_, exit_code, number) in zip(ids, ways, strict=True):
        job = daemon.wait_for_job(job_id)

        assert job["status"] == "failed"
        assert job["attempts"] == 2
        assert [e["cause"] for e in job["executions"]] == ["crashed", "crashed"]
        assert {(e["exit_code"], e["signal"]) for e in job["executions"]} == {(exit_code, number)}
        assert "WorkerCrashed" in job["error"]
    wait_until(lambda: len(daemon.slots("idle")) == 2)


def test_a_segmentation_fault_leaves_the_stack_that_led_to_it(daemons):
    daemon = daemons()

    (execution,) = daemon.wait_for_job(daemon.submit(jobs.segv, "deadly", max_attempts=1))[
        "executions"
    ]

    assert "Segmentation fault" in execution["stack"]
    assert "in segv" in execution["stack"]


@pytest.mark.fault("F6")
def test_an_exit_with_code_zero_in_a_job_is_no_success(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.os_exit, "quiet", {"code": 0}, max_attempts=1)

    assert daemon.wait_for_job(job_id)["status"] == "failed"


@pytest.mark.fault("F6")
def test_no_exception_counts_as_success_or_takes_the_worker_down(daemons):
    daemon = daemons({"pools.default.size": 1})
    (pid,) = daemon.worker_pids()

    for function in (
        jobs.leave,
        jobs.interrupt,
        jobs.recurse,
        jobs.exhaust_memory,
        jobs.unjsonable,
    ):
        name = function.__name__
        job = daemon.wait_for_job(daemon.submit(function, name, max_attempts=1))
        after = daemon.wait_for_job(daemon.submit(jobs.ok, f"after {name}"))

        assert job["status"] == "failed", name
        assert job["executions"][0]["cause"] == "error", name
        assert after["status"] == "completed", name
    assert daemon.worker_pids() == [pid]


def test_a_worker_killed_while_idle_is_replaced(daemons):
    daemon = daemons()
    victim, other = daemon.worker_pids()

    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(pids := daemon.worker_pids()) == 2 and victim not in pids)

    assert other in daemon.worker_pids()
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@pytest.mark.fault("F2")
def test_workers_that_cannot_boot_are_retried_with_growing_delays(daemons, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    module = code / "shop.py"
    module.write_text("x = 1\n")
    daemon = daemons({"code.python_path": [str(code)], "code.imports": ["shop"]})
    module.write_text("raise RuntimeError('the shop is closed')\n")

    for pid in daemon.worker_pids():
        os.kill(pid, signal.SIGKILL)
    status = wait_until(lambda: (s := daemon.status())["state"] == "degraded" and s)
    spawned = len(daemon.events("worker_spawned"))
    module.write_text("x = 2\n")
    wait_until(lambda: daemon.status()["state"] == "running", 30)

    assert "the shop is closed" in status["reason"]
    assert spawned < 20
    failures = daemon.events("worker_boot_failed")
    assert all("while importing shop, " in line["error"] for line in failures)
    assert all("shop.py" in line["error_traceback"] for line in failures)


@pytest.mark.fault("F1")
def test_workers_that_leave_while_they_boot_are_no_workers(daemons, tmp_path):
    (tmp_path / "leaver.py").write_text("import os\nos._exit(0)\n")
    daemon = daemons(
        {"code.python_path": [str(tmp_path)], "code.imports": ["leaver"], "pools.default.size": 1},
        start=False,
    )

    answer = daemon.command("run")

    assert answer.returncode == 70
    assert "exited with code 0" in answer.stderr
    assert answer.stderr.count('"worker_spawned"') <= 4


@NUMBERS
@pytest.mark.fault("F5")
def test_many_jobs_end_once_each_while_workers_are_killed_at_random(daemons, number):
    daemon = daemons({"pools.default.size": 4})
    chance = random.Random(20261123)
    ids = submitted(daemon, range(number), 0.04)
    kills = 0
    while kills < 5 or daemon.queue.stats()["completed"] < len(ids):
        if kills < 5 and daemon.queue.stats()["completed"] > len(ids) - 50:
            # A slow machine kills less often: the workers are to have jobs for five kills.
            ids |= submitted(daemon, range(len(ids), len(ids) + 100), 0.04)
        victim = chance.choice(daemon.worker_pids() or [0])
        # More would only wait for workers: they are replaced two a second after the first ten.
        if kills < 25 and victim and psutil.pid_exists(victim):
            kills += 1
            os.kill(victim, signal.SIGKILL)
        pause_until = time.monotonic() + 0.1
        wait_until(lambda until=pause_until: time.monotonic() > until)

    check_every_job_ended_once(daemon, ids)


@NUMBERS
@pytest.mark.fault("E1")
def test_many_jobs_end_once_each_while_the_supervisor_is_killed_five_times(daemons, number):
    daemon = daemons({"pools.default.size": 4})
    ids = submitted(daemon, range(number), 0.02)
    for round_number in range(1, 6):
        done = round_number * number // 8
        wait_until(lambda done=done: daemon.queue.stats()["completed"] >= done, 30)
        daemon.kill()
        daemon.start()
    wait_until(lambda: daemon.queue.stats()["completed"] == number, 60)

    check_every_job_ended_once(daemon, ids)


def submitted(daemon, numbers, seconds):
    """Submit short jobs; their ids by name."""
    keys = [f"job-{number}" for number in numbers]
    rules = {"max_attempts": 50, "crash_limit": None}
    ids = daemon.submit_many(jobs.sleep_py, keys, {"seconds": seconds}, **rules)
    return dict(zip(keys, ids, strict=True))


def check_every_job_ended_once(daemon, ids):
    """Against the ledger: none lost, none overlapping itself, no success without a call."""
    calls_by_job = {key: [] for key in ids}
    for call in daemon.calls():
        calls_by_job[call.job].append(call)
    for key, job_id in ids.items():
        job = daemon.job(job_id)
        calls = calls_by_job[key]
        ends = [execution["status"] for execution in job["executions"]]
        assert job["status"] == "completed"
        assert ends.count("completed") == 1
        assert calls[-1].end is not None
        assert len(calls) <= job["attempts"] == len(ends)
        for earlier, later in itertools.pairwise(calls):
            assert earlier.end is None or earlier.end <= later.start
            assert not is_the_same(earlier) or earlier.end is not None


def is_the_same(call):
    """Whether the process that made a call still lives; its number may belong to another."""
    try:
        process = syscalls.read_process(call.pid)
    except ProcessLookupError:
        return False
    return process.alive and process.start_ticks == call.born
