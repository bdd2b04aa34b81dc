"""`gigq status` says why a job waits, from what the daemon says beside the database."""

from __future__ import annotations

import json

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


def status_of(daemon, job_id, *options):
    done = daemon.gigq("status", job_id, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until_it_says(daemon, job_id, words):
    wait_until(lambda: words in status_of(daemon, job_id), 30, why=words)


def test_a_job_of_a_queue_that_no_pool_serves_says_so(daemons):
    daemon = daemons({"pools.default.queues": ["mail"]})

    job_id = daemon.submit(jobs.ok, "a", queue="etl")
    wait_until_it_says(daemon, job_id, "its queue 'etl' is served by no pool (default: mail)")

    daemon.configure({"pools.default.queues": ["mail", "etl"]})
    daemon.command("reload", "--wait")
    daemon.wait_for_job(job_id, "completed")


def test_a_job_that_waits_for_a_worker_a_parent_a_resume_or_a_daemon_says_so(daemons, tmp_path):
    daemon = daemons({"pools.default.size": 1})
    write_queue = tmp_path / "gate"

    first = daemon.submit(jobs.wait_for_file, "first", {"path": str(write_queue)})
    daemon.wait_for_job(first, "running")
    busy = daemon.submit(jobs.ok, "busy")
    child = daemon.submit(jobs.ok, "child", dependencies=[first])
    wait_until_it_says(daemon, busy, "Waiting: due; waits for a free worker of pool 'default'")
    wait_until_it_says(daemon, child, f"Waiting: waits for its parent first ({first}), which is ru")
    daemon.command("pause")
    wait_until_it_says(daemon, busy, "Waiting: the daemon 'default' is paused")
    write_queue.touch()
    daemon.wait_for_job(first, "completed")
    daemon.stop()
    shown = json.loads(status_of(daemon, busy, "--json"))

    assert shown["why_waiting"].startswith("no daemon and no worker runs on this database")
    assert not list(daemon.home.glob("jobs.db.gigq/daemon-*"))
    assert json.loads(status_of(daemon, first, "--json"))["why_waiting"] is None


def test_what_a_daemon_said_before_it_was_killed_counts_no_more(daemons):
    daemon = daemons({"pools.default.queues": ["mail"]})

    job_id = daemon.submit(jobs.ok, "a", queue="mail")
    daemon.wait_for_job(job_id, "completed")
    wait_until(lambda: list(daemon.home.glob("jobs.db.gigq/daemon-*.json")))
    daemon.kill()
    waiting = daemon.submit(jobs.ok, "b", queue="mail")

    wait_until_it_says(daemon, waiting, "no daemon and no worker runs on this database")
