"""Every value of a job arrives in the column that has its name, in every way to submit it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Workflow, task
from gigq.model import clock
from gigq.store.job_row import NULL, JobRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPTIONS: dict[str, Any] = {
    "name": "the name",
    "priority": 7,
    "max_attempts": 5,
    "timeout": 40,
    "description": "the description",
    "pass_parent_results": False,
    "retry_delay": 11,
    "queue": "the queue",
    "on_parent_failure": "wait",
    "memory_limit": 2**21,
    "crash_limit": 2,
}
RETRIES: dict[str, Any] = {"give_up_on": ValueError, "max_snoozes": 3}
TIMES: dict[str, Any] = {"delay": "10m", "expires_in": timedelta(hours=2)}
CREATED_AT = "2026-01-02T03:04:05.000006+00:00"


def work(n: int) -> int:
    return n


def job(parent: str) -> Job:
    new = Job(function=work, params={"n": 3}, dependencies=[parent], **OPTIONS, **RETRIES, **TIMES)
    new.created_at, new.workflow = CREATED_AT, "the workflow"
    return new


def submit(queue: JobQueue, parent: str) -> str:
    return queue.submit(job(parent))


def submit_as_the_second_of_its_kind(queue: JobQueue, parent: str) -> str:
    return queue.submit_many([job(parent), job(parent)])[1]


def submit_in_a_workflow(queue: JobQueue, parent: str) -> str:
    workflow = Workflow("the workflow")
    workflow.add_job(job(parent))
    return workflow.submit_all(queue)[0]


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    return JobQueue(tmp_path / "queue.db")


def row(queue: JobQueue, job_id: str) -> dict[str, Any]:
    with closing(sqlite3.connect(str(queue.db_path))) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return dict(found)


@pytest.mark.parametrize(
    "way",
    [submit, submit_as_the_second_of_its_kind, submit_in_a_workflow],
    ids=lambda f: f.__name__,
)
def test_every_value_of_a_job_is_stored_in_its_own_column(
    queue: JobQueue, way: Callable[[JobQueue, str], str]
) -> None:
    parent = queue.submit(Job("parent", work, {"n": 1}))
    job_id = way(queue, parent)
    stored = row(queue, job_id)
    expected = {
        **OPTIONS,
        "id": job_id,
        "function_module": __name__,
        "function_name": "work",
        "dependencies": json.dumps([parent]),
        "params": '{"n": 3}',
        "created_at": CREATED_AT,
        "workflow": "the workflow",
        "unmet": 1,
        "retry_policy": '{"give_up_on":["ValueError"],"max_snoozes":3}',
        "retry_after": clock.after(stored["updated_at"], 600),
        "expires_at": clock.after(stored["updated_at"], 7200),
        "due_why": "delay",
    }
    # The clock and the place of this file decide what the other two are.
    others = {"updated_at", "function_file"}

    assert {name: stored[name] for name in expected} == expected
    assert set(expected) | others == set(JobRow._fields)
    assert stored["updated_at"] > CREATED_AT


def test_a_task_takes_its_options_to_their_columns(queue: JobQueue) -> None:
    options = {name: value for name, value in OPTIONS.items() if name != "pass_parent_results"}
    stored = row(queue, task(**options)(work).submit(queue, n=4))

    assert {name: stored[name] for name in options} == options
    assert stored["params"] == '{"n": 4}'


def test_a_row_is_stored_field_by_field(queue: JobQueue) -> None:
    given = JobRow(**{name: f"the {name}" for name in JobRow._fields} | {"dependencies": "[]"})
    with queue._database.transaction(durable=False) as session:
        session.many("insert_job", [tuple(given)])
    stored = row(queue, given.id)

    assert {name: stored[name] for name in JobRow._fields} == given._asdict()


def test_nothing_is_stored_as_null_where_a_column_allows_it(queue: JobQueue) -> None:
    given = JobRow(**dict.fromkeys(JobRow._fields, NULL) | {"id": "one"})
    with queue._database.transaction(durable=False) as session:
        session.many("insert_job", [tuple(given)])
    stored = row(queue, "one")
    nullable = {
        *("function_file", "timeout", "retry_after", "pass_parent_results"),
        *("memory_limit", "crash_limit", "workflow", "retry_policy", "expires_at", "due_why"),
    }

    assert {name for name in JobRow._fields if stored[name] is None} == nullable
