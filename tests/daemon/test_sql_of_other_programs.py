"""Under the daemon too, SQL of programs of GigQ 0.5.1 does what it did."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

INSERT = """
    INSERT INTO jobs (id, name, function_name, function_module, params, dependencies, retry_after,
        status, created_at, updated_at)
    VALUES (?, 'raw', 'basename', 'posixpath', '{"p": "/a/b"}', ?, ?, 'pending', ?, ?)
"""


def statuses(daemon, *job_ids):
    return [daemon.queue.get_status(job_id)["status"] for job_id in job_ids]


def test_dependents_wait_until_a_program_completes_or_deletes_their_parent(daemons):
    daemon = daemons()
    now = datetime.now()  # noqa: DTZ005 - as such programs do
    at, later = now.isoformat(), (now + timedelta(hours=1)).isoformat()
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as program:
        program.execute("BEGIN IMMEDIATE")
        for number in range(2):
            parent = f"parent {number}"
            program.execute(INSERT, (parent, "[]", later, at, at))
            program.execute(INSERT, (f"child {number}", json.dumps([parent]), None, at, at))
        program.execute(INSERT, ("due", "[]", at, at, at))
        program.execute("COMMIT")
        wait_until(lambda: statuses(daemon, "due") == ["completed"])
        before = statuses(daemon, "child 0", "child 1")
        program.execute("UPDATE jobs SET status = 'completed' WHERE id = 'parent 0'")
        program.execute("DELETE FROM jobs WHERE id = 'parent 1'")
        wait_until(lambda: statuses(daemon, "child 0", "child 1") == ["completed"] * 2)

    assert before == ["pending", "pending"]


def test_a_local_time_is_that_of_the_daemons_zone_while_nothing_else_happens(launched):
    daemon = launched()
    daemon.start(TZ="Etc/GMT-9")  # nine hours east
    local = datetime.now(timezone(timedelta(hours=9))).replace(tzinfo=None)
    due = (local + timedelta(seconds=1)).isoformat()
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as program:
        program.execute(INSERT, ("job", "[]", due, due, due))
    wait_until(lambda: statuses(daemon, "job") == ["completed"])
    ended = datetime.fromisoformat(daemon.queue.get_status("job")["completed_at"])

    assert ended.astimezone(timezone(timedelta(hours=9))).replace(tzinfo=None).isoformat() >= due
