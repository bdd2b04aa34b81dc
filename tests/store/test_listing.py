"""Counting and listing read narrow indexes, and say the same as a look at every row."""

from __future__ import annotations

import pytest
from support.finished_jobs import elsewhere, fail, run_all, run_sql, submit, work

from gigq import Job, JobQueue, Worker
from gigq.store.verbs import jobs, listing


@pytest.mark.parametrize("many", [1, 2, 3, 100])
def test_every_job_is_counted_once_also_when_another_program_wrote_it(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(jobs, "_MANY", {"limit": many})
    parent = elsewhere(queue)[0]
    queue.submit(Job("blocked", work, dependencies=[parent], queue="elsewhere"))
    submit(queue, 2)
    submit(queue, 1, fail)
    run_all(address)
    copied = "id, name, status, created_at, updated_at, function_module, function_name"
    for number, (status, more) in enumerate(
        [("pending", "retry_after = '2099-01-01T00:00:00.000000+00:00'"), ("running", "unmet = 0")]
    ):
        run_sql(
            address,
            f"INSERT INTO jobs ({copied}) SELECT '{number}', name, '{status}', created_at, "
            f"updated_at, function_module, function_name FROM jobs WHERE id = ?",
            parent,
        )
        run_sql(address, f"UPDATE jobs SET {more} WHERE id = ?", str(number))

    assert queue.stats() == {
        "pending": 3,
        "running": 1,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
        "timeout": 0,
        "total": 7,
    }


@pytest.mark.parametrize("claimed_by_us", [True, False])
def test_what_runs_is_counted_and_listed_without_a_look_at_the_rest(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch, *, claimed_by_us: bool
) -> None:
    monkeypatch.setattr(jobs, "_MANY", {"limit": 2})
    submit(queue, 5)
    if claimed_by_us:
        running = Worker(address)._claim_job()["id"]
    else:
        running = queue.list_jobs()[0]["id"]
        run_sql(address, "UPDATE jobs SET status = 'running' WHERE id = ?", running)
        run_sql(
            address,
            "INSERT INTO job_executions (id, job_id, status, started_at) SELECT 'x', id, 'running',"
            " created_at FROM jobs WHERE id = ?",
            running,
        )

    assert (queue.stats()["running"], queue.stats()["pending"]) == (1, 4)
    assert [row["id"] for row in queue.list_jobs("running")] == [running]
    assert queue.list_jobs("running", queue="elsewhere") == []


@pytest.mark.parametrize("few", [1, 100])
@pytest.mark.parametrize("status", ["pending", "completed", "running"])
def test_a_list_is_the_same_whether_few_or_many_jobs_have_the_status(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch, status: str, few: int
) -> None:
    monkeypatch.setattr(listing, "_FEW", few)
    done = submit(queue, 4)
    run_all(address)
    parent = elsewhere(queue)[0]
    child = queue.submit(Job("blocked", work, dependencies=[parent], queue="elsewhere"))
    other = elsewhere(queue)[0]
    wanted = {"pending": [other, child, parent], "completed": done[::-1], "running": []}[status]

    assert [row["id"] for row in queue.list_jobs(status)] == wanted
    assert [row["id"] for row in queue.list_jobs(status, limit=2)] == wanted[:2]
    assert len(queue.list_jobs(status, queue="default")) == 4 * (status == "completed")
