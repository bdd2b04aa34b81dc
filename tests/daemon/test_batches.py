"""Short jobs travel together: what becomes of each when something happens to one of them."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs
from support.waiting import wait_until

from gigq import Job

if TYPE_CHECKING:
    from support.daemon import Daemon

pytestmark = pytest.mark.daemon

MANY = 160
eventually = partial(wait_until, deadline=60.0)  # other processes may keep the machine busy
ONE_WORKER = {"pools.default.size": 1}


def submit_many(daemon: Daemon, count: int, odd: dict[int, dict[str, Any]]) -> list[str]:
    """Submit so many tiny jobs in one transaction, some of them odd; their ids."""
    ledger = {"ledger": str(daemon.ledger)}
    batch = [
        Job(
            name=f"j{number}",
            function=jobs.tiny,
            params={**ledger, "job": f"j{number}", **odd.get(number, {}).get("params", {})},
            **odd.get(number, {}).get("job", {}),
        )
        for number in range(count)
    ]
    ids = daemon.queue.submit_many(batch)
    daemon.submitted.update({job.id: job.name for job in batch})
    return ids


def statuses(daemon: Daemon) -> dict[str, int]:
    """How many jobs there are of each status, those of which there are none left out."""
    counts = daemon.queue.stats()
    return {status: count for status, count in counts.items() if count and status != "total"}


def test_short_jobs_travel_together_and_each_is_run_once(daemons):
    """Many of them at least: a busy machine makes short jobs seem long."""
    daemon = daemons()
    ids: list[str] = []

    def many_travel_together() -> bool:
        before, earlier = completed_together(daemon), len(ids)
        ids.extend(submit_many(daemon, MANY, {}))
        eventually(lambda: statuses(daemon) == {"completed": earlier + MANY})
        return completed_together(daemon) - before > MANY / 10

    eventually(many_travel_together)

    batches = len(ids) // MANY
    assert sorted(call.job for call in daemon.calls()) == sorted(
        f"j{n}" for n in range(MANY) for _ in range(batches)
    )
    executions = [daemon.job(job_id)["executions"] for job_id in ids]
    assert [len(of_job) for of_job in executions] == [1] * len(ids)


def completed_together(daemon: Daemon) -> int:
    """How many jobs were claimed in one transaction with others, which gives all one start time."""
    with closing(sqlite3.connect(daemon.database)) as ledger:
        claims = ledger.execute(
            "SELECT count(*) FROM job_executions GROUP BY worker_id, started_at"
        ).fetchall()
    return sum(count for (count,) in claims if count > 1)


def test_a_job_that_suddenly_takes_long_holds_up_no_other(daemons, tmp_path):
    daemon = daemons()
    released = tmp_path / "released"
    wait = {"params": {"how": "wait", "path": str(released)}}

    ids = submit_many(daemon, MANY, {MANY // 2: wait})
    eventually(lambda: statuses(daemon) == {"completed": MANY - 1, "running": 1})
    still_running = daemon.job(ids[MANY // 2])
    released.touch()
    daemon.wait_for_job(ids[MANY // 2], "completed")

    assert still_running["status"] == "running"
    assert len(daemon.job(ids[MANY // 2])["executions"]) == 1
    assert {daemon.job(job_id)["attempts"] for job_id in ids} == {1}


def test_what_was_over_is_settled_while_a_later_one_of_the_same_worker_runs(daemons, tmp_path):
    daemon = daemons(ONE_WORKER)
    released = tmp_path / "released"
    wait = {"params": {"how": "wait", "path": str(released)}}

    submit_many(daemon, MANY, {MANY // 2: wait})
    eventually(
        lambda: (
            statuses(daemon)
            == {"completed": MANY // 2, "running": 1, "pending": MANY - MANY // 2 - 1}
        )
    )
    released.touch()

    eventually(lambda: statuses(daemon) == {"completed": MANY})


def test_a_crash_charges_the_jobs_that_had_started_and_no_other(daemons):
    daemon = daemons(ONE_WORKER)
    die = {"params": {"how": "die"}, "job": {"max_attempts": 3, "crash_limit": 1}}

    ids = submit_many(daemon, MANY, {MANY // 2: die})
    eventually(lambda: statuses(daemon) == {"completed": MANY - 1, "failed": 1})
    found = [daemon.job(job_id) for job_id in ids]
    begun = Counter(call.job for call in daemon.calls())

    assert found[MANY // 2]["cause"] == "crashed"
    assert [job["attempts"] for job in found] == [begun[f"j{n}"] for n in range(MANY)]
    assert {job["crashes"] for job in found if job["status"] == "completed"} == {0}
    assert {len(job["executions"]) for job in found[MANY // 2 + 1 :]} == {1}
    causes = {execution["cause"] for job in found for execution in job["executions"]}
    assert causes <= {None, "crashed", "lost"}


def test_a_failure_among_many_is_that_of_one(daemons):
    daemon = daemons()
    fail = {"params": {"how": "raise"}, "job": {"max_attempts": 1}}

    ids = submit_many(daemon, MANY, {40: fail, 120: fail})
    eventually(lambda: statuses(daemon) == {"completed": MANY - 2, "failed": 2})

    assert {daemon.job(ids[number])["status"] for number in (40, 120)} == {"failed"}
    assert all(len(daemon.calls(f"j{number}")) == 1 for number in (39, 40, 41))


def test_a_worker_that_is_asked_to_leave_hands_back_what_it_has_not_begun(daemons):
    daemon = daemons(ONE_WORKER)

    ids = submit_many(daemon, 3 * MANY, {})
    eventually(lambda: daemon.queue.stats()["completed"] > MANY)
    daemon.command("reload", "--wait")
    eventually(lambda: statuses(daemon) == {"completed": 3 * MANY})

    assert {daemon.job(job_id)["attempts"] for job_id in ids} == {1}
    assert len(daemon.calls()) == 3 * MANY


def kill_a_worker(daemon: Daemon) -> bool:
    """Kill one that is there; those of the last answer may be gone by now."""
    for pid in daemon.worker_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def test_many_kills_lose_nothing_and_exceed_no_number_of_attempts(daemons):
    daemon = daemons()

    ids = submit_many(daemon, 4 * MANY, {})
    for done in range(MANY // 2, 3 * MANY, MANY // 2):
        eventually(lambda done=done: daemon.queue.stats()["completed"] >= done)
        eventually(lambda: kill_a_worker(daemon))
    eventually(lambda: statuses(daemon) == {"completed": 4 * MANY})

    calls = Counter(call.job for call in daemon.calls())
    assert {calls[f"j{number}"] for number in range(4 * MANY)} <= {1, 2, 3}
    # One may have been killed after its start was recorded and before its first line.
    attempts = [daemon.job(job_id)["attempts"] for job_id in ids]
    assert all(attempts[number] >= calls[f"j{number}"] for number in range(4 * MANY))
