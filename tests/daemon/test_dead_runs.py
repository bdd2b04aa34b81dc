"""Two daemons of two names on one database: what dies with one is taken over by the other."""

from __future__ import annotations

import json

import psutil
import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def second(daemons, launched):
    """A second daemon, of another name, on the database of a first one."""
    first = daemons({"pools.default.size": 1})
    other = launched({"queue.database": str(first.database), "daemon.name": "second"})
    yield first, other
    other.command("stop")


@pytest.mark.fault("E5", "G17")
def test_a_living_daemon_ends_what_a_dead_one_left_and_its_job_goes_on(second):
    first, other = second
    job_id = first.submit(jobs.spawn_children, "family", timeout=600, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(first.ledger)) == 6 and pids)
    assert other.command("start").returncode == 0

    first.kill()

    wait_until(lambda: first.job(job_id)["status"] == "failed", why="the job is settled")
    assert first.job(job_id)["executions"][-1]["cause"] == "lost"
    assert all(is_gone(pid) for pid in children)


@pytest.mark.fault("E5", "G17")
def test_a_new_keeper_ends_what_a_dead_daemon_left_before_it_settles_its_job(second):
    first, other = second
    job_id = first.submit(jobs.spawn_children, "family", timeout=600, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(first.ledger)) == 6 and pids)
    assert other.command("start").returncode == 0
    slots = json.loads(other.command("status", "--json").stdout)["slots"]
    keeper = psutil.Process(next(slot["pid"] for slot in slots if slot["role"] == "keeper"))
    keeper.suspend()

    first.kill()
    keeper.kill()

    wait_until(lambda: first.job(job_id)["status"] == "failed", why="the job is settled")
    assert all(is_gone(pid) for pid in children)
