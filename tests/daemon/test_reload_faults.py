"""What a reload may meet: bad code that boots, sizes that jump, limits that workers reach."""

from __future__ import annotations

import importlib
import itertools
import signal

import psutil
import pytest
from support import jobs
from support.waiting import wait_until

from gigq import Job

pytestmark = pytest.mark.daemon


@pytest.mark.fault("D4")
def test_code_that_boots_and_fails_is_taken_and_its_jobs_fail_one_by_one(
    daemons, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "shop_that_breaks.py"
    module.write_text("def sell():\n    return 1\n")
    daemon = daemons({"code.python_path": [str(tmp_path)], "code.imports": ["shop_that_breaks"]})
    sell = importlib.import_module("shop_that_breaks").sell
    module.write_text("def sell():\n    raise LookupError('sold out')\n")

    answer = daemon.command("reload", "--wait")
    job = daemon.wait_for_job(daemon.queue.submit(Job("sell", sell, max_attempts=1)))

    assert answer.returncode == 0, answer
    assert job["status"] == "failed"
    assert "sold out" in job["error"]
    assert daemon.status()["state"] == "running"


@pytest.mark.fault("D5")
@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_sizes_that_jump_under_load_lose_and_double_nothing(daemons, rounds):
    daemon = daemons({"pools.default.size": 4, "pools.rest.size": 1})
    ids = []

    for size in (1, 8, 0, 4) * rounds:
        ids += [
            daemon.submit(jobs.sleep_py, f"job-{len(ids) + n}", {"seconds": 0.01})
            for n in range(60)
        ]
        daemon.configure({"pools.default.size": size})
        assert daemon.command("reload").returncode == 0
        wait_until(lambda size=size: size_of(daemon, "default") == size, why=f"size {size}")
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed", within=60)

    assert sorted(call.job for call in daemon.calls()) == sorted(
        f"job-{number}" for number in range(len(ids))
    )
    assert all(daemon.job(job_id)["attempts"] == 1 for job_id in ids)


def size_of(daemon, pool):
    return sum(slot["pool"] == pool for slot in daemon.slots())


@pytest.mark.fault("D9")
@pytest.mark.soak
def test_200_reloads_leave_the_supervisor_as_it_was(daemons):
    daemon = daemons()
    supervisor = psutil.Process(daemon.pid)

    def reload(seconds):
        daemon.configure({"pools.default.boot_timeout": f"{seconds}s"})
        assert daemon.command("reload").returncode == 0

    for number in range(20):
        reload(20 + number % 2)
    before = supervisor.memory_info().rss
    for number in range(180):
        reload(20 + number % 2)
    wait_until(lambda: len(daemon.slots("idle")) == 2)

    assert supervisor.memory_info().rss - before < 4 * 1024**2


@pytest.mark.fault("D1")
def test_a_file_that_the_daemon_may_not_read_is_refused(daemons):
    daemon = daemons()
    before = daemon.worker_pids()
    text = daemon.config_path.read_text()
    daemon.config_path.unlink()
    daemon.config_path.symlink_to("/proc/self/mem")

    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reload_refused")
    code = daemon.command("reload").returncode
    daemon.config_path.unlink()
    daemon.config_path.write_text(text)

    assert code == 78
    assert daemon.worker_pids() == before
    assert daemon.status()["generation"] == 1


@pytest.mark.fault("D11")
@pytest.mark.parametrize("count", [100, pytest.param(2_000, marks=pytest.mark.soak)])
def test_workers_that_leave_after_every_job_keep_the_pool_at_work(daemons, count):
    daemon = daemons({"pools.default.size": 4, "pools.default.recycle_after_jobs": 1})

    ids = [daemon.submit(jobs.ok, f"job-{number}") for number in range(count)]
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed", within=300)
    wait_until(lambda: len(daemon.slots("idle")) == 4)

    assert len({(call.pid, call.born) for call in daemon.calls()}) == count
    assert daemon.status()["counters"]["crashes"] == 0
    assert longest_pause(daemon.calls()) < 5.0


def longest_pause(calls):
    starts = sorted(call.start for call in calls)
    return max(later - earlier for earlier, later in itertools.pairwise(starts))
