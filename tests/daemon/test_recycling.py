"""Workers are replaced by fresh ones, and what each job has used is kept."""

from __future__ import annotations

import os
import signal

import pytest
from support import jobs, spoilers
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

MEGABYTE = 1024 * 1024


def reasons(daemon):
    return [line["reason"] for line in daemon.events("worker_recycled")]


@pytest.mark.fault("D11")
@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.soak)])
def test_a_worker_for_every_job_loses_and_doubles_none(daemons, count):
    daemon = daemons({"pools.default.size": 4, "pools.default.recycle_after_jobs": 1})

    ids = [daemon.submit(jobs.ok, f"job-{number}") for number in range(count)]
    for job_id in ids:
        assert daemon.wait_for_job(job_id, within=300)["status"] == "completed"

    assert len(daemon.calls()) == count
    assert len({(call.pid, call.born) for call in daemon.calls()}) == count
    assert set(reasons(daemon)) == {"jobs"}


@pytest.mark.fault("D11")
def test_workers_that_all_grow_old_are_replaced_while_jobs_run_on(daemons):
    daemon = daemons({"pools.default.size": 4, "pools.default.recycle_after_age": "1s"})
    first = set(daemon.worker_pids())

    ids = []
    while len(reasons(daemon)) < 8:
        ids.append(daemon.submit(jobs.sleep_py, f"job-{len(ids)}", {"seconds": 0.05}))
        daemon.wait_for_job(ids[-1], "completed")

    assert set(reasons(daemon)) == {"age"}
    assert len(daemon.calls()) == len(ids)
    wait_until(lambda: len(daemon.worker_pids()) == 4)
    assert not first & set(daemon.worker_pids())


def test_an_idle_worker_grows_old_too(daemons):
    daemon = daemons({"pools.default.size": 1, "pools.default.recycle_after_age": "300ms"})
    (first,) = daemon.worker_pids()

    daemon.wait_for_event("worker_recycled")

    wait_until(lambda: (pids := daemon.worker_pids()) and pids != [first])
    assert daemon.events("worker_exited")[0]["cause"] is None


@pytest.mark.fault("D12")
def test_a_worker_that_has_grown_large_is_replaced_after_its_job(daemons):
    daemon = daemons({"pools.default.size": 1, "pools.default.recycle_above_memory": "150MiB"})
    small = daemon.submit(spoilers.use_memory, "small", {"megabytes": 5, "keep": True})
    peak = daemon.submit(spoilers.use_memory, "peak", {"megabytes": 200, "keep": False})
    leak = daemon.submit(spoilers.use_memory, "leak", {"megabytes": 200, "keep": True})
    after = daemon.submit(jobs.ok, "after")

    for job_id in (small, peak, leak, after):
        assert daemon.wait_for_job(job_id)["status"] == "completed"

    pids = {call.job: call.pid for call in daemon.calls()}
    assert pids["small"] == pids["peak"] == pids["leak"] != pids["after"]
    assert reasons(daemon) == ["memory"]


def test_each_attempt_has_its_own_figures(daemons):
    daemon = daemons({"pools.default.size": 1})
    large = daemon.submit(spoilers.use_memory, "large", {"megabytes": 100, "keep": False})
    child = daemon.submit(spoilers.use_memory_in_a_child, "child", {"megabytes": 150})
    small = daemon.submit(jobs.sleep_py, "small", {"seconds": 0.2})

    executions = [daemon.wait_for_job(each)["executions"][0] for each in (large, child, small)]

    assert [call.pid for call in daemon.calls()] == [daemon.calls()[0].pid] * 3
    peaks = [execution["peak_rss"] for execution in executions]
    assert peaks[0] > 100 * MEGABYTE
    assert peaks[1] > 150 * MEGABYTE
    assert peaks[2] < 100 * MEGABYTE
    assert executions[1]["cpu_time"] >= 0.3
    assert executions[2]["cpu_time"] < 0.3
    assert executions[2]["wall_time"] >= 0.2


def test_no_output_is_kept_when_none_is_wanted(daemons):
    daemon = daemons({"pools.default.keep_output": 0})
    job_id = daemon.submit(jobs.say, "printer", {"text": "hello"})

    assert daemon.wait_for_job(job_id)["executions"][0]["output"] is None


def test_of_a_killed_job_as_much_output_is_kept_as_of_others(daemons):
    daemon = daemons({"pools.default.keep_output": 10, "pools.default.timeout_grace": 0})
    job_id = daemon.submit(jobs.print_and_hang, "chatty", timeout=0.5, max_attempts=1)

    assert daemon.wait_for_job(job_id)["executions"][0]["output"] == "m a child\n"


def test_as_much_output_is_kept_as_is_wanted_and_no_half_character(daemons):
    daemon = daemons({"pools.default.keep_output": 10})
    job_id = daemon.submit(jobs.say, "printer", {"text": "€" * 1000})

    assert daemon.wait_for_job(job_id)["executions"][0]["output"] == "€" * 3 + "\n"


# --- ends that the application brings about --------------------------------------------------


@pytest.mark.fault("F6")
def test_nothing_that_ends_a_job_early_counts_as_success(daemons):
    daemon = daemons()
    ends = {
        "os._exit(0)": (jobs.os_exit, {"code": 0}),
        "sys.exit(0)": (jobs.leave, {"code": 0}),
        "SystemExit": (spoilers.raise_this, {"what": "SystemExit"}),
        "GeneratorExit": (spoilers.raise_this, {"what": "GeneratorExit"}),
        "KeyboardInterrupt": (jobs.interrupt, {}),
        "recursion": (jobs.recurse, {}),
        "MemoryError": (jobs.exhaust_memory, {}),
    }

    ids = {
        name: daemon.submit(function, name, params, max_attempts=1)
        for name, (function, params) in ends.items()
    }
    found = {name: daemon.wait_for_job(job_id) for name, job_id in ids.items()}

    assert {job["status"] for job in found.values()} == {"failed"}
    causes = {name: job["executions"][0]["cause"] for name, job in found.items()}
    assert causes == dict.fromkeys(ends, "error") | {"os._exit(0)": "crashed"}


@pytest.mark.fault("B5")
def test_a_worker_that_is_sent_term_finishes_its_job_and_is_replaced(daemons):
    daemon = daemons({"pools.default.size": 1})
    go = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "busy", {"path": str(go)}, max_attempts=1)
    (call,) = daemon.wait_for_calls("busy")

    os.kill(call.pid, signal.SIGTERM)
    next_one = daemon.submit(jobs.ok, "next")
    go.touch()

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert daemon.wait_for_job(next_one)["status"] == "completed"
    assert daemon.calls("next")[0].pid != call.pid
    assert daemon.events("worker_exited")[0]["cause"] is None


@pytest.mark.fault("B5")
def test_an_idle_worker_that_is_sent_term_is_replaced(daemons):
    daemon = daemons({"pools.default.size": 1})
    (first,) = daemon.worker_pids()

    os.kill(first, signal.SIGTERM)

    wait_until(lambda: (pids := daemon.worker_pids()) and pids != [first])
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "next"))["status"] == "completed"


@pytest.mark.fault("B5")
def test_a_worker_whose_job_ignores_term_is_killed_at_the_stop_deadline(daemons):
    daemon = daemons({"pools.default.size": 1, "daemon.stop_timeout": "1s"})
    job_id = daemon.submit(jobs.ignore_signals, "deaf", max_attempts=2)
    (call,) = daemon.wait_for_calls("deaf")

    os.kill(call.pid, signal.SIGTERM)
    daemon.stop()

    assert daemon.job(job_id)["executions"][0]["cause"] == "stopped"
    assert daemon.events("worker_exited")[0]["cause"] == "stopped"


def test_an_import_that_leaves_is_reported_as_what_it_is(daemons, tmp_path):
    (tmp_path / "leaver.py").write_text("import sys\nsys.exit(3)\n")
    daemon = daemons({"code.python_path": [str(tmp_path)], "code.imports": ["leaver"]}, start=False)

    answer = daemon.command("run")

    assert answer.returncode == 76
    place = f"while importing leaver, {tmp_path}/leaver.py:2"
    assert f"an import has exited with 3 ({place})" in answer.stderr
    assert "child_failed" not in answer.stderr


@pytest.mark.fault("D12")
def test_the_stricter_limit_of_memory_counts_the_pools_or_the_jobs(daemons):
    daemon = daemons({"pools.default.memory_limit": "300MiB", "pools.default.size": 1})
    greedy = {"megabytes": 500, "keep": True}
    modest = {"megabytes": 200, "keep": True}
    by_pool = daemon.submit(spoilers.grow, "pool", greedy, max_attempts=1)
    by_job = daemon.submit(spoilers.grow, "job", modest, max_attempts=1, memory_limit="150MiB")
    within = daemon.submit(spoilers.grow, "within", modest, max_attempts=1)

    causes = [daemon.wait_for_job(each)["cause"] for each in (by_pool, by_job, within)]

    assert causes == ["memory", "memory", None]
