"""A plain worker honours what programs of GigQ 0.5.1 write with SQL of their own."""

from __future__ import annotations

import json
import posixpath
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gigq import Job, JobQueue, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = """
    INSERT INTO jobs (id, name, function_name, function_module, params, priority, dependencies,
        max_attempts, timeout, description, status, created_at, updated_at, attempts,
        pass_parent_results, retry_delay)
    VALUES (?, ?, 'basename', 'posixpath', '{"p": "/a/b"}', 5, ?, 3, 300, '', 'pending', ?, ?, 0,
        NULL, 0)
"""
"""What `submit` of GigQ 0.5.1 runs."""


@pytest.fixture
def program(path: str, queue: JobQueue) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_a_workflow_written_by_sql_runs_in_its_order(
    path: str, queue: JobQueue, program: sqlite3.Connection
) -> None:
    now = datetime.now().isoformat()  # noqa: DTZ005 - as such programs do
    for name, parents in (("parent", []), ("child", ["parent"]), ("last", ["parent", "child"])):
        program.execute(WHOLE, (name, name, json.dumps(parents), now, now))
    worker = Worker(path)
    order = []
    while worker.process_one():
        done = {job["id"] for job in queue.list_jobs("completed")}
        order += sorted(done - set(order))

    assert order == ["parent", "child", "last"]
    assert queue.get_result("last") == "b"


def test_the_next_look_finds_what_a_program_has_released(
    path: str, queue: JobQueue, program: sqlite3.Connection
) -> None:
    parents = [queue.submit(Job(name, posixpath.basename, {"p": "/a/b"})) for name in "ab"]
    children = [
        queue.submit(Job("c", posixpath.basename, {"p": "/c"}, dependencies=[p])) for p in parents
    ]
    later = (datetime.now() + timedelta(hours=1)).isoformat()  # noqa: DTZ005
    program.execute("UPDATE jobs SET retry_after = ? WHERE id IN (?, ?)", (later, *parents))
    worker = Worker(path)
    before = worker.process_one()
    program.execute("UPDATE jobs SET status = 'completed' WHERE id = ?", (parents[0],))
    program.execute("DELETE FROM jobs WHERE id = ?", (parents[1],))
    after = [worker.process_one() for _ in range(3)]

    assert (before, after) == (False, [True, True, False])
    assert [queue.get_result(child) for child in children] == ["c", "c"]
