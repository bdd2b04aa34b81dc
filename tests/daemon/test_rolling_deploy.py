"""Daemons of two versions side by side on one database."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter

import pytest
from support import jobs
from support.daemon import on_both_databases
from support.other_versions import later_version, run_with
from support.waiting import wait_until

from gigq.store import schema_versions
from gigq.store.dialect import POSTGRES, SQLITE
from gigqd import exit_codes

pytestmark = [pytest.mark.daemon, on_both_databases]


@pytest.fixture
def known(request):
    """The schema that this version knows."""
    kind = request.node.callspec.params["daemons"]
    return schema_versions.latest(POSTGRES if kind == "postgres" else SQLITE)


def beside(daemons, older, folder):
    """Make a daemon of another version on the database of an older one."""
    newer = daemons({"queue.database": older.address, "daemon.name": "newer"}, start=False)
    run_with(newer, folder)
    return newer


def migrate(daemon):
    """Run `gigq migrate` of the version of a daemon on its database."""
    return subprocess.run(
        [sys.executable, "-m", "gigq", "--db", daemon.address, "migrate"],
        env=daemon.environment,
        cwd=daemon.home,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Submitter(threading.Thread):
    """Submits short jobs of this version until it is stopped."""

    def __init__(self, daemon):
        super().__init__()
        self._daemon = daemon
        self._end = threading.Event()
        self.ids = []

    def run(self):
        while not self._end.wait(0.01):
            self.ids.append(self._daemon.submit(jobs.ok, f"job {len(self.ids)}"))

    def stop(self):
        """End the thread; return the ids of all its jobs."""
        self._end.set()
        self.join()
        return self.ids


def runs(daemon, ids):
    """Return the number of executions by run, once every job is completed."""
    wait_until(
        lambda: daemon.queue.stats()["completed"] == len(ids), 60, why="every job is completed"
    )
    found = [daemon.job(one)["executions"] for one in ids]
    return Counter(execution["run"] for each in found for execution in each)


def test_two_versions_run_jobs_side_by_side_and_the_stop_of_either_loses_none(
    daemons, tmp_path, known
):
    older = daemons()
    newer = beside(daemons, older, later_version(tmp_path / "later"))
    submitter = Submitter(older)
    submitter.start()
    try:
        older.wait_for_calls("job 1")
        newer.start()
        warning = older.wait_for_event("newer_schema")
        reached = len(submitter.ids)
        wait_until(lambda: len(submitter.ids) > reached + 100, 60, why="both run jobs")
        older.stop()
        reached = len(submitter.ids)
        wait_until(lambda: len(submitter.ids) > reached + 20, 60, why="the newer one runs jobs")
        older.start()
        wait_until(lambda: len(older.events("newer_schema")) == 2, why="it says so at its start")
        newer.stop()
        reached = len(submitter.ids)
        wait_until(lambda: len(submitter.ids) > reached + 20, 60, why="the older one runs jobs")
    finally:
        ids = submitter.stop()

    by_run = runs(older, ids)
    assert (warning["schema"], warning["known"], warning["usable_from"]) == (
        known + 1,
        known,
        known,
    )
    assert sum(by_run.values()) == len(ids)
    assert len(by_run) == 3
    assert not newer.events("newer_schema")


def test_an_older_version_is_refused_after_a_migration_that_it_cannot_live_with(
    daemons, tmp_path, known
):
    older = daemons()
    pid = older.pid
    newer = beside(daemons, older, later_version(tmp_path / "later", breaks=True))

    refused = migrate(newer)
    older.wait_for_job(older.submit(jobs.ok, "goes on"))
    older.stop()
    newer.start()
    answer = older.command("run")
    checked = older.command("check", "--db")
    newer.stop()

    assert f"has schema {known} and this gigq works with {known + 1}" in refused.stderr
    assert f"process {pid}" in refused.stderr
    assert "Nothing was changed" in refused.stderr
    assert answer.returncode == checked.returncode == exit_codes.BAD_CONFIG
    for said in (answer.stderr, checked.stderr):
        assert f"schema {known + 1} from gigq" in said
        assert f"this gigq knows {known}: a gigq that knows {known + 1} or later" in said


def test_check_of_an_older_version_names_both_schemas(daemons, tmp_path, known):
    older = daemons()
    older.stop()
    newer = beside(daemons, older, later_version(tmp_path / "later"))
    newer.start()

    checked = older.command("check", "--db")
    newer.stop()

    assert checked.returncode == 0, checked.stderr
    assert f"schema {known + 1} from gigq" in checked.stdout
    assert f"this gigq knows {known}" in checked.stdout
