"""What a job leaves behind in its worker, the next job does not see."""

from __future__ import annotations

from datetime import datetime

import pytest
from support import jobs, spoilers
from support.daemon import TESTS

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1, "code.imports": ["support.spoilers"]}


def residue(daemon):
    return [(line["job"], line["left"]) for line in daemon.events("job_left_residue")]


@pytest.mark.fault("H1")
def test_the_next_job_finds_all_as_it_was_before_the_one_that_changed_it(daemons):
    daemon = daemons(ONE)
    before = daemon.wait_for_job(daemon.submit(spoilers.look, "before"))["result"]

    seen = {}
    for what in spoilers.SPOILERS:
        first = daemon.submit(spoilers.spoil, what, {"what": what}, max_attempts=1)
        assert daemon.wait_for_job(first)["status"] == "completed"
        seen[what] = daemon.wait_for_job(daemon.submit(spoilers.look, "after"))["result"]

    assert [what for what, found in seen.items() if found != before] == []
    assert residue(daemon) == [(what, [what]) for what in spoilers.SPOILERS]
    spoiled = [call.pid for call in daemon.calls() if call.job in spoilers.SPOILERS]
    assert len(set(spoiled)) == len(spoilers.SPOILERS)


@pytest.mark.fault("H2")
@pytest.mark.parametrize("what", ["threads", "descriptors"])
def test_a_worker_full_of_threads_or_files_is_gone_within_a_second(daemons, what):
    daemon = daemons(ONE)
    daemon.wait_for_job(daemon.submit(spoilers.spoil, what, {"what": what}))

    gone = daemon.wait_for_event("worker_exited")
    told = daemon.wait_for_event("job_left_residue")

    took = datetime.fromisoformat(gone["ts"]) - datetime.fromisoformat(told["ts"])
    assert took.total_seconds() <= 1.0
    assert gone["cause"] is None
    assert daemon.wait_for_event("worker_recycled")["reason"] == "residue"


@pytest.mark.fault("C20")
def test_a_child_that_a_job_leaves_is_ended_with_the_worker(daemons):
    daemon = daemons(ONE)
    job_id = daemon.submit(jobs.spawn_children, "parent", {"ways": ["plain-exec"], "stay": False})

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    daemon.wait_for_event("worker_exited")

    assert daemon.events("worker_exited")[0]["killed"] == 1
    assert residue(daemon) == [("parent", ["children"])]


@pytest.mark.fault("C20")
def test_what_the_pool_allows_is_left_alone(daemons):
    daemon = daemons({**ONE, "pools.default.allowed_residue": ["threads"]})

    daemon.wait_for_job(daemon.submit(spoilers.spoil, "first", {"what": "threads"}))
    daemon.wait_for_job(daemon.submit(spoilers.look, "second"))

    first, second = daemon.calls()
    assert first.pid == second.pid
    assert residue(daemon) == []


def test_what_a_module_does_when_it_is_imported_is_no_residue(daemons, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shop_with_threads.py").write_text(
        "import os, threading, time\n"
        "if os.environ.get('GIGQD_WORKER'):\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "    os.environ['SHOP'] = 'open'\n"
        "def work(): return os.getpid()\n"
    )
    from importlib import import_module

    from gigq import Job

    work = import_module("shop_with_threads").work
    daemon = daemons({"pools.default.size": 1, "code.python_path": [str(tmp_path)]})

    pids = {
        daemon.wait_for_job(daemon.queue.submit(Job(f"job-{n}", work)))["result"] for n in range(3)
    }

    assert len(pids) == 1
    assert residue(daemon) == []


@pytest.mark.fault("F10")
@pytest.mark.parametrize("keep", [True, False])
def test_a_job_that_uses_up_all_descriptors_fails_and_harms_nobody(daemons, keep):
    daemon = daemons(ONE)
    greedy = daemon.submit(spoilers.exhaust_descriptors, "greedy", {"keep": keep}, max_attempts=1)

    job = daemon.wait_for_job(greedy, within=30)
    after = daemon.wait_for_job(daemon.submit(jobs.ok, "after", max_attempts=1))

    assert job["status"] == "failed"
    assert "Too many open files" in job["error"]
    assert after["status"] == "completed"
    assert residue(daemon) == ([("greedy", ["children", "descriptors"])] if keep else [])
    assert len(daemon.events("job_leftovers_killed")) == keep


@pytest.mark.fault("C18")
@pytest.mark.parametrize("where", ["finally", "del", "import", "lock"])
def test_a_job_interrupted_in_a_bad_place_poisons_no_other(daemons, tmp_path, where):
    module = tmp_path / "slow_shop.py"
    module.write_text("import time\ntime.sleep(600)\nGOODS = 0\n")
    daemon = daemons({**ONE, "code.python_path": [str(TESTS), str(tmp_path)]})
    trapped = daemon.submit(spoilers.trap, "trapped", {"where": where}, timeout=1, max_attempts=1)

    daemon.wait_for_job(trapped)
    module.write_text("GOODS = 3\n")
    after = daemon.wait_for_job(daemon.submit(spoilers.use_what_was_trapped, "after"))

    assert after["result"] == [True, 3, 0]
    assert daemon.wait_for_event("worker_recycled")["reason"] == "interrupted"
    assert daemon.calls("trapped")[0].pid != daemon.calls("after")[0].pid
