"""What a job leaves behind in its worker, the next job does not see."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module

import pytest
from support import jobs, spoilers
from support.daemon import TESTS

from gigq import Job

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1, "code.imports": ["support.spoilers"]}


def leaks(daemon):
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
    replaced = [what for what, left in leaks(daemon) if left == [what]]
    undone = [line["job"] for line in daemon.events("job_changes_undone")]
    kept = [what for what in spoilers.SPOILERS if what == "descriptors"]
    assert sorted([*replaced, *undone, *kept]) == sorted(spoilers.SPOILERS)
    assert set(replaced) - {"limits", "priority"} == {"threads", "children"}
    assert len({call.pid for call in daemon.calls()}) == len(replaced) + 1


@pytest.mark.fault("H2")
@pytest.mark.parametrize("what", ["threads", "descriptors"])
def test_a_worker_full_of_threads_or_files_is_gone_within_a_second(daemons, what):
    daemon = daemons(ONE)
    for _ in range(1 if what == "threads" else 3):  # descriptors: the first time they may stay
        daemon.wait_for_job(daemon.submit(spoilers.spoil, what, {"what": what}))

    gone = daemon.wait_for_event("worker_exited")
    event = daemon.wait_for_event("job_left_residue")

    took = datetime.fromisoformat(gone["ts"]) - datetime.fromisoformat(event["ts"])
    assert took.total_seconds() <= 1.0
    assert gone["cause"] is None
    assert daemon.wait_for_event("worker_recycled")["reason"] == "leaks"


@pytest.mark.fault("C20")
def test_a_child_that_a_job_leaves_is_ended_with_the_worker(daemons):
    daemon = daemons(ONE)
    job_id = daemon.submit(jobs.spawn_children, "parent", {"ways": ["plain-exec"], "stay": False})

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    daemon.wait_for_event("worker_exited")

    assert daemon.events("worker_exited")[0]["killed"] == 1
    assert leaks(daemon) == [("parent", ["children"])]


@pytest.mark.fault("C20")
def test_what_the_pool_allows_is_left_alone(daemons):
    daemon = daemons({**ONE, "pools.default.allowed_leaks": ["threads"]})

    daemon.wait_for_job(daemon.submit(spoilers.spoil, "first", {"what": "threads"}))
    daemon.wait_for_job(daemon.submit(spoilers.look, "second"))

    first, second = daemon.calls()
    assert first.pid == second.pid
    assert leaks(daemon) == []


def test_the_third_worker_that_a_function_costs_brings_a_warning_with_the_remedy(daemons):
    daemon = daemons(ONE)
    for _ in range(4):
        daemon.wait_for_job(daemon.submit(spoilers.spoil, "job", {"what": "children"}))

    daemon.wait_for_job(daemon.submit(spoilers.look, "after"))
    warning = daemon.wait_for_event("job_leaks_repeated")

    assert len(daemon.events("job_leaks_repeated")) == 1
    assert (warning["function"], warning["left"]) == ("support.spoilers.spoil", "children")
    assert warning["workers"] == 3
    assert 'allowed_leaks = ["children"]' in warning["remedy"]
    assert "shut the pool of processes down" in warning["remedy"]
    assert "(sleep)" in daemon.events("job_left_residue")[0]["details"][0]


def test_a_job_does_not_see_what_another_has_set_in_its_context_or_its_random_numbers(
    daemons, tmp_path, monkeypatch
):
    (tmp_path / "shop_with_context.py").write_text(
        "import contextvars, decimal, os, random\n"
        "language = contextvars.ContextVar('language', default='en')\n"
        "currency = contextvars.ContextVar('currency', default='none')\n"
        "if os.environ.get('GIGQD_WORKER'):\n"
        "    currency.set('EUR')\n"
        "    decimal.getcontext().prec = 20\n"
        "def work():\n"
        "    seen = [language.get(), currency.get(), decimal.getcontext().prec, os.getpid()]\n"
        "    language.set('de'); currency.set('USD'); decimal.getcontext().prec = 3\n"
        "    drawn = random.random()\n"
        "    random.seed(1)\n"
        "    return [seen, drawn]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    work = import_module("shop_with_context").work
    daemon = daemons({"pools.default.size": 1, "code.python_path": [str(tmp_path)]})

    jobs_ = [daemon.queue.submit(Job(f"job-{n}", work)) for n in range(3)]
    results = [daemon.wait_for_job(job_id)["result"] for job_id in jobs_]

    assert len({tuple(seen) for seen, _ in results}) == 1
    assert results[0][0][:3] == ["en", "EUR", 20]
    assert len({drawn for _, drawn in results}) == 3


def test_what_a_module_does_when_it_is_imported_is_no_residue(daemons, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shop_with_threads.py").write_text(
        "import os, threading, time\n"
        "if os.environ.get('GIGQD_WORKER'):\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "    os.environ['SHOP'] = 'open'\n"
        "def work(): return os.getpid()\n"
    )
    work = import_module("shop_with_threads").work
    daemon = daemons({"pools.default.size": 1, "code.python_path": [str(tmp_path)]})

    pids = {
        daemon.wait_for_job(daemon.queue.submit(Job(f"job-{n}", work)))["result"] for n in range(3)
    }

    assert len(pids) == 1
    assert leaks(daemon) == []


@pytest.mark.fault("F10")
@pytest.mark.parametrize("keep", [True, False])
def test_a_job_that_uses_up_all_descriptors_fails_and_harms_no_other_job(daemons, keep):
    daemon = daemons(ONE)
    greedy = daemon.submit(spoilers.exhaust_descriptors, "greedy", {"keep": keep}, max_attempts=1)

    job = daemon.wait_for_job(greedy, within=30)
    after = daemon.wait_for_job(daemon.submit(jobs.ok, "after", max_attempts=1))

    assert job["status"] == "failed"
    assert "Too many open files" in job["error"]
    assert after["status"] == "completed"
    assert leaks(daemon) == ([("greedy", ["descriptors"])] if keep else [])
    assert len(daemon.events("job_orphans_killed")) == keep


@pytest.mark.fault("H1")
def test_a_failed_job_whose_forkserver_was_killed_leaves_none_to_the_next_job(daemons):
    daemon = daemons(ONE)
    failed, after = (
        daemon.submit(spoilers.use_a_forkserver, key, {"fail": key == "failed"}, max_attempts=1)
        for key in ("failed", "after")
    )

    assert "after its work" in daemon.wait_for_job(failed)["error"]
    assert daemon.wait_for_job(after)["result"] == "done"
    assert daemon.wait_for_event("worker_recycled")["reason"] == "leaks"


@pytest.mark.fault("G16")
def test_a_job_that_leaves_a_transaction_on_the_queue_open_stops_no_other_job(daemons):
    daemon = daemons(ONE)
    params = {"database": str(daemon.database)}
    open_ = daemon.submit(spoilers.leave_a_transaction_open, "open", params, max_attempts=1)

    assert daemon.wait_for_job(open_)["executions"][-1]["cause"] == "crashed"
    after = daemon.submit(jobs.ok, "after")
    assert daemon.wait_for_job(after)["status"] == "completed"


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
