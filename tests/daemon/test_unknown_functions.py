"""Jobs whose function a daemon does not know wait for one that does, for a bounded time."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from support import jobs
from support.daemon import on_both_databases
from support.waiting import wait_until

from gigq import Job, Workflow

pytestmark = [pytest.mark.daemon, on_both_databases]

CODE = """
def greet(name="Ann"):
    return f"hello {name}"
"""
MANY = 10_000


@pytest.fixture
def greet(monkeypatch):
    """A function that this process knows, which submits its jobs, and no daemon yet."""
    module = ModuleType("shop")
    exec(CODE, vars(module))
    monkeypatch.setitem(sys.modules, "shop", module)
    return module.greet


@pytest.fixture
def code(tmp_path):
    """The folder from which the daemons import, which is empty."""
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


def configured(daemons, folder, start=True, **settings):
    """Make a daemon that imports from a folder."""
    daemon = daemons(start=False)
    paths = [*daemon._settings["code.python_path"], str(folder)]
    daemon.configure({"code.python_path": paths, **settings})
    if start:
        daemon.start()
    return daemon


def beside(daemons, first, folder, **settings):
    """Make another daemon on the database of a first one, which imports from a folder."""
    same = {"queue.database": first.address, "daemon.name": "other"}
    return configured(daemons, folder, start=False, **same, **settings)


def deploy(folder):
    (folder / "shop.py").write_text(CODE)


def test_a_job_waits_without_an_attempt_and_runs_after_a_reload_with_its_function(
    daemons, code, greet
):
    daemon = configured(daemons, code)

    job_id = daemon.queue.submit(Job("greets", greet, max_attempts=1))
    event = daemon.wait_for_event("function.unknown")
    # Each worker looks for the function once; a look at the job may come in between.
    waiting = wait_until(
        lambda: (job := daemon.job(job_id))["status"] == "pending" and not job["executions"] and job
    )
    shown = wait_until(
        lambda: "Waiting:" in (text := daemon.gigq("status", job_id).stdout) and text
    )
    examined = daemon.gigq("doctor").stdout
    deploy(code)
    reloaded = daemon.command("reload", "--wait")
    done = daemon.wait_for_job(job_id)

    assert reloaded.returncode == 0, reloaded.stderr
    assert event["function"] == "shop:greet"
    assert "there is no module 'shop'" in event["error_message"]
    assert (waiting["status"], waiting["attempts"], waiting["executions"]) == ("pending", 0, [])
    assert (done["status"], done["attempts"], done["result"]) == ("completed", 1, "hello Ann")
    assert "Waiting: waits for a daemon that knows its function shop:greet; not found on" in shown
    assert "not found: shop:greet (on " in examined
    assert len(done["executions"]) == 1
    assert len(daemon.events("function.unknown")) == 1


def test_a_daemon_that_knows_the_function_takes_the_job_at_once(daemons, code, greet, tmp_path):
    older = configured(daemons, code)
    ids = [older.queue.submit(Job("greets", greet)) for _ in range(20)]
    older.wait_for_event("function.unknown")
    newer_code = tmp_path / "newer"
    newer_code.mkdir()
    deploy(newer_code)
    newer = beside(daemons, older, newer_code)

    newer.start()
    done = [older.wait_for_job(job_id) for job_id in ids]
    newer.stop()

    assert {(job["status"], job["attempts"]) for job in done} == {("completed", 1)}
    assert len({job["executions"][0]["run"] for job in done}) == 1


def test_a_job_ends_with_the_reason_when_no_daemon_has_known_its_function_for_a_time(
    daemons, code, greet
):
    daemon = configured(daemons, code, **{"queue.unknown_function_wait": "2s"})
    workflow = Workflow("two")
    first = Job("greets", greet, max_attempts=3)
    after = Job("after", jobs.ok, params={"ledger": str(daemon.ledger), "job": "after"})
    workflow.add_job(first)
    workflow.add_job(after, depends_on=[first])
    with daemon.queue as queue:
        workflow.submit_all(queue)

    failed = daemon.wait_for_job(first.id, within=30)
    dependent = daemon.wait_for_job(after.id)

    assert (failed["status"], failed["attempts"]) == ("failed", 1)
    assert failed["error"].startswith(
        "gigq.errors.FunctionNotFound: no daemon knew the function shop:greet for 2s; hosts asked: "
    )
    assert "there is no module 'shop'" in failed["error"]
    assert dependent["status"] == "failed"
    wait_until(lambda: first.id in [event["job_id"] for event in daemon.events("job.failed")])


def test_a_requeue_waits_anew(daemons, code, greet):
    daemon = configured(daemons, code, **{"queue.unknown_function_wait": "1s"})
    job_id = daemon.queue.submit(Job("greets", greet))
    daemon.wait_for_job(job_id, within=30)

    daemon.configure({"queue.unknown_function_wait": "10m"})
    daemon.command("reload", "--wait")
    daemon.queue.requeue_job(job_id)
    wait_until(lambda: daemon.job(job_id)["status"] == "pending", why="it waits again")
    deploy(code)
    daemon.command("reload", "--wait")

    assert daemon.wait_for_job(job_id)["status"] == "completed"


def test_other_jobs_run_behind_ten_thousand_of_an_unknown_function(daemons, code, greet):
    daemon = configured(daemons, code, start=False)
    with daemon.queue as queue:
        queue.submit_many([Job(f"greets {number}", greet) for number in range(MANY)])
    known = [daemon.submit(jobs.ok, f"known {number}") for number in range(20)]

    daemon.start()
    done = [daemon.wait_for_job(job_id, within=60) for job_id in known]

    assert {job["status"] for job in done} == {"completed"}
    stats = daemon.queue.stats()
    assert (stats["pending"] + stats["running"], stats["failed"]) == (MANY, 0)
    assert len(daemon.events("function.unknown")) == 1


def test_a_function_fails_at_once_without_a_wait(daemons, code, greet):
    daemon = configured(daemons, code, **{"queue.unknown_function_wait": "0s"})

    job_id = daemon.queue.submit(Job("greets", greet, max_attempts=2))
    failed = daemon.wait_for_job(job_id)

    assert (failed["status"], failed["attempts"]) == ("failed", 2)
    assert failed["error"].startswith("gigq.errors.FunctionNotFound: there is no module 'shop'")
