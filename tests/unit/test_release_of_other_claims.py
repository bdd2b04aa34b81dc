"""What a worker releases in the middle of a job that takes long."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs_to_run

import gigq
from gigq import Job, Worker, current_job
from gigq.execution.held_claims import BatchSizing
from gigq.store.backend import FileBackend
from gigqd.worker.release_claims import ClaimRelease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "queue.db")
    gigq.close_connections()


@pytest.fixture
def worker(path: str, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(BatchSizing, "fits", lambda _self, _row: True)
    monkeypatch.setattr(BatchSizing, "is_short", lambda _self, _claim: True)
    monkeypatch.setattr(BatchSizing, "size", lambda _self, _exchange, **_: 8)
    monkeypatch.setattr("gigq.execution.held_claims.HELD_BACK", 1e9)
    monkeypatch.setattr("gigq.execution.held_claims._STALE_AFTER", 1e9)
    worker = Worker(path, worker_id="w")
    worker.most_at_once = 8
    return worker


class Line:
    """Counts how often it is informed that no claim is held."""

    def __init__(self) -> None:
        self.reports = 0

    def holds_nothing_else(self) -> None:
        self.reports += 1


def in_the_third_of_five(worker: Worker, path: str, action: Callable[[], None]) -> list[str]:
    """Have a worker run five jobs that it holds at once, with an action in the third; the ids."""
    queue = gigq.JobQueue(path)
    ids = queue.submit_many([Job(f"j{n}", jobs_to_run.nothing, max_attempts=5) for n in range(5)])

    def function() -> None:
        job = current_job()
        if job is not None and job.id == ids[2] and job.attempt == 1:
            action()

    worker._import_function = lambda *_: function  # type: ignore[method-assign]
    worker.work_off(lambda: True)
    return ids


def test_what_is_over_is_settled_and_what_has_not_begun_is_free_for_others(
    worker: Worker, path: str
) -> None:
    line: Any = Line()
    releasing = ClaimRelease(worker._runner, FileBackend(path), line)
    seen: list[list[tuple[str, int]]] = []

    def release() -> None:
        assert worker._runner.held == 4
        releasing.release()
        releasing.release()
        rows = sorted(gigq.JobQueue(path).list_jobs(), key=lambda row: str(row["id"]))
        seen.append([(row["status"], row["attempts"]) for row in rows])
        assert worker._runner.held == 0

    ids = in_the_third_of_five(worker, path, release)
    queue = gigq.JobQueue(path)

    assert seen == [
        [("completed", 1), ("completed", 1), ("running", 1), ("pending", 0), ("pending", 0)]
    ]
    assert line.reports == 1
    assert [len(queue.get_status(id_)["executions"]) for id_ in ids] == [1] * 5
    assert queue.stats()["completed"] == 5


def test_while_the_database_is_locked_all_is_kept_and_the_job_goes_on(
    worker: Worker, path: str
) -> None:
    line: Any = Line()
    releasing = ClaimRelease(worker._runner, FileBackend(path), line)
    held: list[int] = []

    def release() -> None:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        releasing.release()
        held.append(worker._runner.held)
        holder.execute("COMMIT")
        holder.close()

    in_the_third_of_five(worker, path, release)

    assert held == [4]
    assert line.reports == 0
    assert gigq.JobQueue(path).stats()["completed"] == 5


@pytest.mark.parametrize("durable", [True, False])
def test_the_outcomes_are_as_durable_as_the_worker_is(path: str, durable: bool) -> None:
    found: list[bool] = []
    runner: Any = SimpleNamespace(
        held=1,
        store=SimpleNamespace(durable=durable),
        release_others=lambda database: found.append(database.durable),
    )
    line: Any = Line()
    gigq.JobQueue(path)
    ClaimRelease(runner, FileBackend(path), line).release()

    assert found == [durable]
