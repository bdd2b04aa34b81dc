"""Rows in which foreign SQL has left anything: they are shown, failed or skipped, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import odd_rows, raw_sql
from support.ledger import FAILED, WORKER, insert, job_row, ran, status_of, stored, taken

from gigq import JobQueue, Worker
from gigq.errors import StoreError, StoreLocked
from gigq.execution import plain_worker_rescue
from gigq.model.claim import Claim
from gigq.model.ids import new_id
from gigq.store.backend import backend_of
from gigq.store.sqlite import connections
from gigq.store.sqlite.processes import run_locks
from gigq.store.verbs import jobs, requeue, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gigq.store.database import Database

VALUES = (
    *(
        "'nonsense'",
        "''",
        "x''",
        "x'00ff'",
        "CAST(x'c3' AS TEXT)",
        "9e999",
        "-9e999",
        "1e300",
        "-1",
    ),
    *("5", "'[1'", "'{}'", "'[[1]]'", "NULL"),
)
JOB_COLUMNS = (
    *("name", "status", "queue", "priority", "created_at", "updated_at", "started_at"),
    *("completed_at", "retry_after", "unmet", "attempts", "max_attempts", "refunds", "crashes"),
    *("timeout", "retry_delay", "backoff", "on_parent_failure", "pass_parent_results"),
    *("worker_id", "execution_id", "unique_key", "cause", "function_module", "function_name"),
    *("function_file", "dependencies", "description", "params", "error", "result"),
    *("memory_limit", "crash_limit", "id"),
)
EXECUTION_COLUMNS = (
    *("id", "worker_id", "status", "started_at", "completed_at", "attempt", "run", "cause"),
    *("exit_code", "signal", "peak_rss", "output", "cancel_requested_at", "job_id"),
)


def nothing_row(**columns: Any) -> dict[str, Any]:
    where = {"function_module": "support.jobs_to_run", "function_name": "nothing"}
    return job_row(**where, **columns)


def spoil(db: Database, table: str, column: str, value: str, job_id: str) -> bool:
    """Write a bad value into a row of a job; False when the schema itself refuses it."""
    key = "id" if table == "jobs" else "job_id"
    try:
        raw_sql.run(db, f"UPDATE {table} SET {column} = {value} WHERE {key} = ?", job_id)
    except StoreError:
        return False
    return True


def look_at_everything(queue: JobQueue, db: Database) -> None:
    queue.stats()
    for found in queue.list_jobs(limit=1000):
        queue.get_status(found["id"])
    for due_at in (
        settle_and_claim.next_due_at(db, None),
        settle_and_claim.next_due_at(db, ("default", "other")),
    ):
        assert due_at is None or due_at > "2026"
    settle_and_claim.open_executions(db)
    settle_and_claim.cancel_requests(db)
    plain_worker_rescue.overdue(db)
    plain_worker_rescue.lost(db, backend_of(queue.db_path))


def spoiled_jobs(db: Database, table: str, column: str) -> tuple[list[str], list[str]]:
    """Jobs of which one column is spoilt in every way; and what is open or was."""
    rows = [nothing_row(priority=1) for _ in VALUES]
    insert(db, rows)
    open_ids = [taken(db)["execution_id"] for _ in rows]
    waiting = [nothing_row(priority=1) for _ in VALUES]
    insert(db, waiting)
    for value, running, pending in zip(VALUES, rows, waiting, strict=True):
        spoil(db, table, column, value, running["id"])
        if table == "jobs":
            spoil(db, table, column, value, pending["id"])
    return [row["id"] for row in (*rows, *waiting)], open_ids


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("jobs", column) for column in JOB_COLUMNS),
        *(("job_executions", column) for column in EXECUTION_COLUMNS),
    ],
)
def test_bad_rows_stop_no_worker_and_no_command(tmp_path: Path, table: str, column: str) -> None:
    path = tmp_path / "queue.db"
    queue, worker = JobQueue(path), Worker(path)
    db = queue._database
    ids, open_ids = spoiled_jobs(db, table, column)
    (good,) = insert(db, [nothing_row()])
    look_at_everything(queue, db)
    for execution_id in open_ids[::2]:
        settle_and_claim.settle(db, execution_id, FAILED)
    while worker.process_one():
        pass
    look_at_everything(queue, db)
    for job_id in ids:
        queue.cancel(job_id, running=True)
        queue.requeue_job(job_id)
    queue.clear_completed("2020-01-01")

    assert status_of(db, good) == "completed"


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("params", "'[1'", "the column params of the job holds '[1', which is not JSON"),
        ("dependencies", "'nonsense'", "which is not JSON"),
        ("timeout", "'soon'", "the column timeout of the job holds 'soon', which is no number"),
        ("memory_limit", "9e999", "the column memory_limit of the job holds inf"),
        ("function_module", "'no_such_module'", "No module named 'no_such_module'"),
    ],
)
def test_a_job_that_cannot_be_read_fails_and_says_why(
    tmp_path: Path, column: str, value: str, error: str
) -> None:
    queue, worker = JobQueue(tmp_path / "queue.db"), Worker(tmp_path / "queue.db")
    (job_id,) = insert(queue._database, [nothing_row(max_attempts=1)])
    spoil(queue._database, "jobs", column, value, job_id)
    worker.process_one()
    found = queue.get_status(job_id)

    assert found["status"] == "failed"
    assert error in found["error"]


@pytest.mark.parametrize("column", ["timeout", "retry_delay"])
@pytest.mark.parametrize("value", ["'Infinity'", "'-Infinity'", "'NaN'"])
def test_a_number_without_end_keeps_no_other_job_waiting(
    db: Database, column: str, value: str
) -> None:
    odd, other = stored(db), stored(db)
    spoil(db, "jobs", column, value, odd)
    found = jobs.get(db, odd)

    assert found is not None
    assert {taken(db)["id"], taken(db)["id"]} == {odd, other}


def test_text_that_is_no_utf_8_is_shown_with_a_mark_for_each_bad_byte(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "queue.db")
    (job_id,) = insert(queue._database, [nothing_row()])
    spoil(queue._database, "jobs", "name", "CAST(x'66c366' AS TEXT)", job_id)

    assert queue.get_status(job_id)["name"] == "f\N{REPLACEMENT CHARACTER}f"
    assert [job["name"] for job in JobQueue(tmp_path / "queue.db").list_jobs()] == [
        "f\N{REPLACEMENT CHARACTER}f"
    ]


def test_a_job_that_was_taken_away_from_its_execution_can_be_claimed_again(db: Database) -> None:
    job_id = stored(db)
    first = taken(db)
    spoil(db, "jobs", "status", "'pending'", job_id)
    second = taken(db)

    assert second["execution_id"] != first["execution_id"]
    assert settle_and_claim.settle(db, first["execution_id"], FAILED) is None
    assert [e["status"] for e in jobs.executions(db, job_id)] == ["failed", "running"]
    assert jobs.executions(db, job_id)[0]["cause"] == "lost"
    assert settle_and_claim.settle(db, second["execution_id"], FAILED) is not None


@pytest.mark.parametrize("status", ["paused", "", "PENDING", "completed "])
def test_a_job_of_unknown_status_is_left_as_it_is(db: Database, status: str) -> None:
    _leave_as_it_is(db, f"'{status}'")


@pytest.mark.only("sqlite")
def test_a_job_whose_status_is_no_text_is_left_as_it_is(db: Database) -> None:
    _leave_as_it_is(db, "x'00'")


def _leave_as_it_is(db: Database, status: str) -> None:
    job_id, other = stored(db), stored(db)
    spoil(db, "jobs", "status", status, job_id)
    before = jobs.get(db, job_id)
    verbs: list[Callable[[], object]] = [
        lambda: jobs.cancel(db, [job_id]),
        lambda: jobs.cancel(db, [job_id], running=True).get(job_id),
        lambda: requeue.requeue(db, [job_id]).jobs,
        lambda: jobs.clear(db),
        lambda: settle_and_claim.adopt(db, job_id, new_id(), WORKER),
    ]

    assert not any(verb() for verb in verbs)
    assert ran(db).job_id == other
    assert jobs.get(db, job_id) == before


def test_a_bad_list_of_parents_does_not_keep_others_from_being_cleared(db: Database) -> None:
    bad, done, gone = stored(db, priority=-1), stored(db), stored(db)
    ran(db)
    jobs.cancel(db, [gone])
    for job_id in (bad, gone):
        spoil(db, "jobs", "dependencies", "'nonsense'", job_id)

    assert jobs.clear(db) == 2
    assert jobs.get(db, done) is None
    assert status_of(db, bad) == "pending"


def worked_off(path: Path, most_at_once: int) -> Database:
    """A file of odd rows between ordinary ones, after a worker has worked off all of it."""
    queue, worker = JobQueue(path), Worker(path)
    db = queue._database
    # The function is known to be short, so that its jobs may travel together.
    insert(db, [nothing_row() for _ in range(30)])
    worker.most_at_once = most_at_once
    worker.work_off(lambda: True)
    for mark, rows in (("failed", odd_rows.FAILED), ("completed", odd_rows.COMPLETED)):
        odd_rows.store(db, rows, mark)
        insert(db, [nothing_row(workflow=f"good-{n}") for n in range(10)])
    worker.work_off(lambda: True)
    assert worker._runner.held == 0
    return db


@pytest.mark.parametrize("most_at_once", [1, 64])
def test_odd_rows_are_failed_with_the_reason_or_run_and_the_rest_goes_on(
    tmp_path: Path, most_at_once: int
) -> None:
    db = worked_off(tmp_path / "queue.db", most_at_once)
    good = odd_rows.read(db, "SELECT status FROM jobs WHERE workflow LIKE 'good-%'")

    assert odd_rows.wrong(db) == []
    assert [row["status"] for row in good] == ["completed"] * 20
    assert settle_and_claim.open_executions(db) == []


@pytest.mark.parametrize("most_at_once", [1, 64])
def test_a_row_that_raises_anything_while_it_is_read_is_failed_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_at_once: int
) -> None:
    queue, worker = JobQueue(tmp_path / "queue.db"), Worker(tmp_path / "queue.db")
    worker.most_at_once = most_at_once
    bad, good = insert(queue._database, [nothing_row(), nothing_row()])
    read = Claim.from_row

    def read_or_raise(row: Any) -> Claim:
        if row["id"] == bad:
            raise StopIteration
        return read(row)

    monkeypatch.setattr(Claim, "from_row", read_or_raise)
    worker.work_off(lambda: True)

    assert queue.get_status(bad)["status"] == "failed"
    assert "StopIteration" in queue.get_status(bad)["error"]
    assert status_of(queue._database, good) == "completed"
    assert worker._runner.held == 0


class OldWorker(Worker):
    """One that claims by itself, as subclasses for GigQ 0.5.1 do."""

    def _claim_job(self) -> dict[str, Any] | None:
        return super()._claim_job()


def test_a_worker_with_a_claim_of_its_own_gets_past_odd_rows(tmp_path: Path) -> None:
    db, worker = JobQueue(tmp_path / "queue.db")._database, OldWorker(tmp_path / "queue.db")
    odd_rows.store(db, odd_rows.FAILED, "failed")
    odd_rows.store(db, odd_rows.COMPLETED, "completed")
    (good,) = insert(db, [nothing_row()])
    turns = [worker.process_one() for _ in range(len(odd_rows.COMPLETED) + 3)]

    ended = odd_rows.read(db, "SELECT status, count(*) AS jobs FROM jobs GROUP BY status")

    assert {row["status"]: row["jobs"] for row in ended} == {
        "completed": len(odd_rows.COMPLETED) + 1,
        "failed": len(odd_rows.FAILED),
    }
    assert status_of(db, good) == "completed"
    # One row looks like no job: its id is one by which it cannot be found.
    assert turns.count(False) <= 2


def test_a_row_that_cannot_be_read_is_failed_later_when_the_database_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, worker = JobQueue(tmp_path / "queue.db"), Worker(tmp_path / "queue.db")
    bad, good = insert(queue._database, [nothing_row(), nothing_row()])
    spoil(queue._database, "jobs", "params", "'[1'", bad)
    settle = settle_and_claim.settle
    monkeypatch.setattr(settle_and_claim, "settle", refused)
    with pytest.raises(StoreLocked):
        worker.process_one()
    monkeypatch.setattr(settle_and_claim, "settle", settle)

    assert worker._runner.held == 1
    assert worker.process_one()
    assert status_of(queue._database, bad) == "failed"
    assert status_of(queue._database, good) == "completed"
    assert worker._runner.held == 0


def refused(*_: Any) -> None:
    raise StoreLocked("locked")


@pytest.mark.parametrize(
    "value",
    ["'2026-13-45T00:00:00'", "'2026-02-30'", "'2026-01-01T24:01'", "'2020x'", "'zzz'", "'\x01'"],
)
def test_a_job_delayed_to_what_is_no_time_is_failed_and_hides_no_other(
    db: Database, value: str
) -> None:
    _delay_to(db, value)


@pytest.mark.only("sqlite")
def test_a_job_delayed_to_what_is_no_text_is_failed_and_hides_no_other(db: Database) -> None:
    _delay_to(db, "x'ff'")


def _delay_to(db: Database, value: str) -> None:
    bad = stored(db, retry_after="2999-01-01T00:00:00.000000+00:00")
    child = stored(db, dependencies=[bad])
    spoil(db, "jobs", "retry_after", value, bad)
    first = settle_and_claim.next_due_at(db, None)
    assert (first, status_of(db, bad)) in [(None, "failed"), (None, "pending")]
    late = stored(db, retry_after="2999-01-01T00:00:00.000000+00:00")

    assert settle_and_claim.next_due_at(db, None) == "2999-01-01T00:00:00.000000+00:00"
    if status_of(db, bad) == "failed":
        assert "the column retry_after of the job holds" in (jobs.get(db, bad) or {})["error"]
        assert status_of(db, child) == "failed"
    assert status_of(db, late) == "pending"


def test_one_job_with_a_time_of_its_own_does_not_keep_older_ones(db: Database) -> None:
    first = stored(db, created_at="9999-01-01T00:00:00.000000+00:00")
    others = [stored(db, created_at="2020-01-01T00:00:00.000000+00:00") for _ in range(3)]
    for job_id in (first, *others):
        jobs.cancel(db, [job_id])
    for job_id, value in zip(others, ("''", "'nonsense'", "'~'"), strict=True):
        spoil(db, "jobs", "created_at", value, job_id)
    old = "'2020-01-01T00:00:00.000000+00:00'"
    for job_id in others:
        spoil(db, "jobs", "completed_at", old, job_id)

    assert jobs.clear(db, "2021-01-01") == 3
    assert status_of(db, first) == "cancelled"


def test_runs_that_foreign_sql_made_up_are_dead(tmp_path: Path) -> None:
    made_up = (
        "",
        ":",
        "nonsense",
        "worker:",
        "worker:x",
        "worker:" + "9" * 5000,
        "gigqd:1:2:3:4:5",
    )

    assert not any(run_locks.is_alive(tmp_path / "queue.db", run) for run in made_up)


@pytest.fixture(autouse=True)
def closed() -> Any:
    """No connection outlives a test's folder."""
    yield
    connections.close_connections()
