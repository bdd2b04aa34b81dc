"""Jobs and code that fail again and again, and hosts without room: the rest goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil
import pytest
from support import jobs
from support.hooks import hooked
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


@pytest.fixture
def shop(tmp_path):
    """A module that each worker imports; what it does depends on which files lie beside it."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "shop.py").write_text(
        "import pathlib, time\n"
        "here = pathlib.Path(__file__).parent\n"
        "if (here / 'broken').exists():\n"
        "    raise RuntimeError('the shop is closed')\n"
        "while (here / 'hanging').exists():\n"
        "    time.sleep(0.01)\n"
    )
    return folder


def settings(shop, **more):
    return {"code.python_path": [str(shop)], "code.imports": ["shop"], **more}


def kill_workers(daemon):
    for pid in daemon.worker_pids():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.fault("F2")
def test_a_breaker_opens_for_code_that_does_not_boot_and_closes_when_it_is_mended(daemons, shop):
    daemon = daemons(settings(shop))
    (shop / "broken").touch()

    kill_workers(daemon)
    opened = daemon.wait_for_event("pool_breaker_open", 30)
    status = wait_until(lambda: (s := daemon.status())["state"] == "degraded" and s)
    spawned = len(daemon.events("worker_spawned"))
    (shop / "broken").unlink()
    daemon.wait_for_event("pool_breaker_closed", 30)

    assert "the shop is closed" in str(opened)
    assert "the shop is closed" in status["reason"]
    assert spawned < 20
    wait_until(lambda: daemon.status()["state"] == "running")
    wait_until(lambda: len(daemon.slots("idle")) == 2, 30)


@pytest.mark.fault("F3")
def test_workers_that_hang_while_they_boot_are_killed_and_tried_again(daemons, shop):
    daemon = daemons(settings(shop, **{"pools.default.boot_timeout": "500ms"}))
    (shop / "hanging").touch()

    kill_workers(daemon)
    wait_until(lambda: len([e for e in daemon.events("worker_exited") if is_boot(e)]) >= 2, 20)
    (shop / "hanging").unlink()

    wait_until(lambda: len(daemon.slots("idle")) == 2, 30)
    assert {e["signal"] for e in daemon.events("worker_exited")} == {"SIGKILL"}


def is_boot(event):
    return event["cause"] == "boot"


@pytest.mark.fault("F4")
@pytest.mark.parametrize("count", [16, pytest.param(1_000, marks=pytest.mark.soak)])
def test_jobs_that_crash_in_a_row_do_not_become_forks_in_a_row(daemons, count):
    daemon = daemons({"pools.calm.size": 1, "pools.calm.queues": ["calm"]})
    began = time.monotonic()

    crashing = [daemon.submit(jobs.segv, f"bad-{n}", max_attempts=1) for n in range(count)]
    calm = [daemon.submit(jobs.ok, f"good-{n}", queue="calm") for n in range(20)]
    for job_id in calm:
        daemon.wait_for_job(job_id, "completed")
    for job_id in crashing:
        daemon.wait_for_job(job_id, "failed", within=count)
    seconds = time.monotonic() - began

    assert all(len(daemon.job(job_id)["executions"]) == 1 for job_id in crashing)
    assert len(daemon.events("worker_spawned")) <= 4 + 3 + 10 + 2 * seconds
    assert daemon.status()["state"] == "running"


@pytest.mark.fault("C11")
@pytest.mark.parametrize("count", [16, pytest.param(1_000, marks=pytest.mark.soak)])
def test_timeouts_in_a_row_leave_no_descriptor_no_memory_and_no_zombie(daemons, count):
    daemon = daemons({"pools.default.size": 4, "pools.default.timeout_grace": 0})
    supervisor = psutil.Process(daemon.pid)

    def overrun(number):
        ids = [
            daemon.submit(jobs.sleep_py, f"late-{number}-{n}", timeout=0.05, max_attempts=1)
            for n in range(4)
        ]
        for job_id in ids:
            daemon.wait_for_job(job_id, "timeout", within=30)

    overrun("first")
    before = supervisor.memory_info().rss
    for number in range(count // 4):
        overrun(number)

    daemon.check_while_running()
    assert supervisor.memory_info().rss - before < 4 * 1024**2


@pytest.mark.fault("F6")
def test_no_way_of_leaving_a_function_but_a_return_is_a_success(daemons):
    daemon = daemons()
    ways = [(jobs.leave, {"code": 0}), (jobs.close_generator, {}), (jobs.raise_base, {})]

    for function, params in ways:
        name = function.__name__
        job = daemon.wait_for_job(daemon.submit(function, name, params, max_attempts=1))
        after = daemon.wait_for_job(daemon.submit(jobs.ok, f"after {name}"))

        assert (job["status"], job["cause"]) == ("failed", "error"), name
        assert after["status"] == "completed", name


@pytest.mark.fault("F7")
def test_a_job_that_kills_its_worker_each_time_is_given_up_at_its_crash_limit(daemons):
    daemon = daemons()

    job = daemon.wait_for_job(daemon.submit(jobs.segv, "poison", max_attempts=1000))

    assert job["status"] == "failed"
    assert [e["cause"] for e in job["executions"]] == ["crashed"] * 3
    assert "crash" in job["error"]


@pytest.mark.fault("F8")
def test_a_host_without_room_for_processes_is_waited_out(daemons, tmp_path):
    full = tmp_path / "full"
    daemon = daemons(start=False)
    refuse = f"""
        import errno, os, pathlib
        fork = os.fork

        def refused():
            if pathlib.Path({str(full)!r}).exists():
                raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
            return fork()

        os.fork = refused
    """
    daemon.start(**hooked(tmp_path / "hook", "gigqd.process.spawn", refuse))
    go = daemon.home / "go"
    running = daemon.submit(jobs.wait_for_file, "running", {"path": str(go)})
    (call,) = daemon.wait_for_calls("running")

    full.touch()
    (idle,) = [pid for pid in daemon.worker_pids() if pid != call.pid]
    os.kill(idle, signal.SIGKILL)
    refused = daemon.wait_for_event("worker_spawn_failed")
    alive = call.pid in daemon.worker_pids()
    full.unlink()
    wait_until(lambda: len(daemon.worker_pids()) == 2, 30)
    go.touch()

    assert "temporarily unavailable" in refused["error"]
    assert alive
    assert daemon.wait_for_job(running)["attempts"] == 1


@pytest.mark.fault("F14")
def test_on_a_starved_host_no_worker_looks_hung_and_limits_still_hold(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0, "pools.default.hang_timeout": "2s"})
    hungry = [
        subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"], start_new_session=True)
        for _ in range(8)
    ]
    try:
        ids = [
            daemon.submit(jobs.sleep_py, f"long-{n}", timeout=1, max_attempts=1) for n in range(4)
        ]
        done = [daemon.wait_for_job(job_id, "timeout", within=30) for job_id in ids]
        wait_until(lambda: len(daemon.slots("idle")) == 2, 30)
    finally:
        for process in hungry:
            process.kill()
            process.wait()

    assert all(execution["late"] <= 1.0 for job in done for execution in job["executions"])
    assert {event["cause"] for event in daemon.events("worker_exited")} == {"timeout"}
