"""What went wrong with deployments and code in other queues, from public bug reports."""

from __future__ import annotations

import shutil

import pytest
from support import jobs
from support import jobs_of_field_reports as reports
from support.by_name import submit

from gigq import close_connections

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}
RELEASE = """
import os
from pathlib import Path


def which():
    return [NUMBER, Path("note").read_text(), os.environ["RELEASE"]]
"""
OWN_MODULE = """
def remind():
    return "reminded"
"""


def run(daemon, name, /, **options):
    """What became of a job of a function that is given by its name."""
    return daemon.wait_for_job(submit(daemon.queue, name, max_attempts=1, **options))


@pytest.fixture
def release_of(tmp_path):
    """A function that makes the folder of a release, and lets `current` lead to it."""
    current = tmp_path / "current"

    def make(number, configuration):
        folder = tmp_path / f"release-{number}"
        folder.mkdir()
        (folder / "note").write_text(f"note {number}")
        (folder / "shop_of_a_release.py").write_text(f"NUMBER = {number}\n{RELEASE}")
        (folder / "gigq.toml").write_text(configuration)
        new = tmp_path / "new"
        new.symlink_to(folder)
        new.rename(current)
        return folder

    yield make
    close_connections()


def test_a_reload_after_a_deployment_takes_all_from_the_new_release_though_the_old_one_is_gone(
    daemons, release_of, tmp_path
):
    """sidekiq/sidekiq#4005: new workers stayed in the folder to which the link had led before."""
    daemon = daemons(ONE, start=False)

    def deploy(number):
        daemon.configure(
            {
                "daemon.runtime_dir": str(daemon.home / "run"),
                "queue.database": str(daemon.database),
                "code.python_path": None,
                "code.environment.RELEASE": f"release {number}",
            }
        )
        return release_of(number, daemon.config_path.read_text())

    first = deploy(1)
    daemon.config_path = tmp_path / "current" / "gigq.toml"
    daemon.start()
    before = run(daemon, "shop_of_a_release.which")
    daemon.config_path = daemon.home / "gigq.toml"
    deploy(2)
    shutil.rmtree(first)
    daemon.config_path = tmp_path / "current" / "gigq.toml"
    reloaded = daemon.command("reload", "--wait")
    after = run(daemon, "shop_of_a_release.which")

    assert before["result"] == [1, "note 1", "release 1"]
    assert reloaded.returncode == 0, reloaded.stderr
    assert after["result"] == [2, "note 2", "release 2"]


def test_an_applications_own_module_with_the_name_of_a_library_of_the_daemon_is_found(launched):
    """celery/celery#5347: an installed module came before the application's own of this name."""
    daemon = launched(ONE)
    own = daemon.home / "application" / "daemon.py"
    own.parent.mkdir()
    own.write_text(OWN_MODULE)
    daemon.configure({"code.python_path": [str(own.parent)]})
    started = daemon.command("start")

    job = run(daemon, "daemon.remind")

    assert started.returncode == 0, started.stderr
    assert job["result"] == "reminded", job["error"]


def test_the_error_names_the_module_that_hides_the_applications_own_of_the_same_name(daemons):
    """celery/celery#1922: a module of the standard library was taken for the application's own."""
    daemon = daemons(ONE, start=False)
    own = daemon.home / "application" / "resource.py"
    own.parent.mkdir()
    own.write_text(OWN_MODULE)
    settings = {"code.python_path": [str(own.parent)], "queue.unknown_function_wait": "0s"}
    daemon.configure(settings)
    daemon.start()

    job = run(daemon, "resource.remind")

    assert job["error_type"] == "gigq.errors.FunctionNotFound"
    assert f"{own} has this name too" in job["error_message"]


@pytest.mark.parametrize("order", ["one by one", "both at once"])
def test_a_job_of_two_failed_parents_comes_back_with_the_second_one(daemons, order):
    """SAP/InfraBox#62: two failed jobs with one follower could not be started again together."""
    daemon = daemons()
    mended = daemon.home / "mended"
    parents = [
        daemon.submit(reports.work_once_mended, name, {"file": str(mended)}, max_attempts=1)
        for name in ("first", "second")
    ]
    child = daemon.submit(jobs.ok, "child", dependencies=parents)
    assert daemon.wait_for_job(child)["status"] == "failed"
    for parent in parents:
        daemon.wait_for_job(parent)
    mended.touch()

    steps = [[parent] for parent in parents] if order == "one by one" else [parents]
    refused = [daemon.queue.requeue_many(step, dependents=True).refused for step in steps]
    done = [daemon.wait_for_job(job_id, "completed")["status"] for job_id in (*parents, child)]

    assert done == ["completed"] * 3
    assert [list(each) for each in refused] == ([[child], []] if len(steps) > 1 else [[]])


def test_one_job_that_cannot_run_any_more_keeps_no_other_one_from_being_requeued(daemons):
    """bensheldon/good_job#1263: one job with a deleted record failed the retry of all others."""
    daemon = daemons({"queue.unknown_function_wait": "0s"}, start=False)
    gone = submit(daemon.queue, "shop_that_is_gone.pack", max_attempts=1)
    ids = [daemon.submit(jobs.ok, "before"), gone, daemon.submit(jobs.ok, "after")]
    for job_id in ids:
        daemon.queue.cancel(job_id)

    requeued = daemon.gigq("requeue", *ids)
    daemon.start()
    done = [daemon.wait_for_job(job_id)["status"] for job_id in ids]

    assert (requeued.returncode, requeued.stderr) == (0, "")
    assert done == ["completed", "failed", "completed"]


def test_a_job_whose_id_is_a_part_of_others_is_cancelled_and_none_of_them(daemons):
    """hashicorp/nomad#1000: a job was not found by its id when others began with this id."""
    daemon = daemons(start=False)
    ids = ["nightly", "nightly-2", "x-nightly"]
    for job_id in ids:
        daemon.queue.submit(reports.job_with_id(job_id))

    exact, part = daemon.gigq("cancel", "nightly"), daemon.gigq("cancel", "nightl")
    statuses = [daemon.job(job_id)["status"] for job_id in ids]

    assert (exact.returncode, exact.stderr) == (0, "")
    assert (part.returncode, "nightl is part of several ids" in part.stdout) == (1, True)
    assert statuses == ["cancelled", "pending", "pending"]
