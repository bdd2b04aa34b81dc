from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import FAILED, FAILED_FOR_GOOD, WORKER, ran, taken
from support.old_files import OldFile

from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.sqlite import connections
from gigq.store.upgrade_0_5_1 import upgrade
from gigq.store.verbs import jobs, requeue, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.only("sqlite")


@pytest.fixture
def old(address: str) -> OldFile:
    return OldFile(address)


@pytest.fixture
def unopened(address: str) -> Iterator[Database]:
    yield Database(lambda: connections.open_connection(address))
    connections.close_connections()


def job(db: Database, job_id: str) -> dict[str, Any]:
    row = jobs.get(db, job_id)
    assert row is not None
    return row


def dump(address: str) -> list[str]:
    with closing(sqlite3.connect(address)) as connection:
        return list(connection.iterdump())


def test_every_value_of_an_old_job_is_there_afterwards(old: OldFile, unopened: Database) -> None:
    values = {
        "params": '{"n": 1}',
        "priority": 4,
        "max_attempts": 5,
        "timeout": 60,
        "description": "d",
        "status": "completed",
        "attempts": 2,
        "result": "[1]",
        "pass_parent_results": 1,
        "retry_delay": 30,
    }
    old.job("done", **values)
    old.execution("e", "done", status="completed", result="[1]", completed_at="2026-01-01T13:00:00")
    migrate.apply(unopened)
    row, (execution,) = job(unopened, "done"), jobs.executions(unopened, "done")

    assert {key: row[key] for key in values} == values
    assert (row["queue"], row["unmet"], row["execution_id"]) == ("default", 0, "e")
    assert (execution["status"], execution["result"], execution["worker_id"]) == (
        "completed",
        "[1]",
        "w",
    )


@pytest.mark.usefixtures("three_hours_east")
def test_local_times_become_utc(old: OldFile, unopened: Database) -> None:
    old.job("a", retry_after="2026-01-01T12:30:00", created_at="2026-01-01T02:00:00.5")
    old.execution("e", "a", status="failed", started_at="2026-01-01T12:00:00")
    migrate.apply(unopened)
    row, (execution,) = job(unopened, "a"), jobs.executions(unopened, "a")

    assert row["created_at"] == "2025-12-31T23:00:00.500000+00:00"
    assert row["retry_after"] == "2026-01-01T09:30:00.000000+00:00"
    assert execution["started_at"] == "2026-01-01T09:00:00.000000+00:00"


def test_a_waiting_retry_is_no_delayed_job(old: OldFile, unopened: Database) -> None:
    old.job("retry", attempts=1, retry_after="2026-01-01T12:30:00")
    old.job("delayed", retry_after="2026-01-01T12:30:00")
    old.job("ended", attempts=1, retry_after="2026-01-01T12:30:00", status="failed")
    migrate.apply(unopened)

    whys = {each: job(unopened, each)["due_why"] for each in ("retry", "delayed", "ended")}
    assert whys == {"retry": "retry", "delayed": None, "ended": None}


def test_a_file_from_before_the_retry_columns_opens(address: str, unopened: Database) -> None:
    OldFile(address, later_columns=False).job("a")
    migrate.apply(unopened)
    row = job(unopened, "a")

    assert (row["retry_delay"], row["retry_after"], row["pass_parent_results"]) == (0, None, None)
    assert taken(unopened)["id"] == "a"


def test_an_upgraded_file_works_like_any_other(old: OldFile, unopened: Database) -> None:
    old.job("low", priority=1), old.job("high", priority=2)
    migrate.apply(unopened)
    migrate.apply(unopened)
    names = [ran(unopened).job_id, ran(unopened).job_id]

    assert names == ["high", "low"]
    assert jobs.clear(unopened) == 2


def test_nothing_of_the_old_file_is_left_over(
    old: OldFile, unopened: Database, address: str, tmp_path: Any
) -> None:
    old.job("a")
    migrate.apply(unopened)
    fresh = Database(lambda: connections.open_connection(tmp_path / "fresh.db"))
    migrate.apply(fresh)

    def shape(path: Any) -> set[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            return set(connection.execute("SELECT name, sql FROM sqlite_master"))

    assert shape(address) == shape(tmp_path / "fresh.db")


def test_lists_of_parents_become_rows_and_a_deleted_parent_counts_as_done(
    old: OldFile, unopened: Database
) -> None:
    old.job("done", status="completed"), old.job("open")
    old.job("child", dependencies=json.dumps(["done", "open", "deleted"]))
    old.job("free", dependencies=json.dumps(["done", "deleted"]))
    migrate.apply(unopened)

    assert (job(unopened, "child")["unmet"], job(unopened, "free")["unmet"]) == (1, 0)
    assert ran(unopened).released + ran(unopened).released == 1
    assert taken(unopened)["id"] == "child"


def test_dependents_of_a_failed_parent_wait_as_they_did(old: OldFile, unopened: Database) -> None:
    old.job("parent", max_attempts=1), old.job("child", dependencies='["parent"]')
    old.job("gone", status="failed"), old.job("orphan", dependencies='["gone"]')
    migrate.apply(unopened)
    ran(unopened, FAILED_FOR_GOOD)

    assert [job(unopened, id_)["status"] for id_ in ("child", "orphan")] == ["pending", "pending"]
    assert requeue.requeue(unopened, ["gone"]).jobs
    assert ran(unopened).job_id == "gone"
    assert ran(unopened).job_id == "orphan"


def test_a_running_job_keeps_its_state_and_can_be_settled(old: OldFile, unopened: Database) -> None:
    old.job("a", status="running", attempts=1, started_at="2026-01-01T12:00:01", worker_id="w")
    old.execution("e", "a")
    migrate.apply(unopened)
    (open_one,) = settle_and_claim.open_executions(unopened)

    assert (open_one["execution_id"], open_one["run"]) == ("e", None)
    assert [row["execution_id"] for row in settle_and_claim.overdue(unopened)] == ["e"]
    assert settle_and_claim.settle(unopened, "e", FAILED) is not None
    assert taken(unopened)["id"] == "a"


def test_a_running_job_without_an_execution_can_be_settled_too(
    old: OldFile, unopened: Database
) -> None:
    old.job("a", status="running", attempts=1, started_at="2026-01-01T12:00:01")
    migrate.apply(unopened)
    (overdue,) = settle_and_claim.overdue(unopened)

    assert settle_and_claim.settle(unopened, overdue["execution_id"], FAILED) is not None


def test_executions_that_were_left_open_are_closed_but_the_current_one(
    old: OldFile, unopened: Database
) -> None:
    old.job("running", status="running"), old.job("done", status="completed")
    old.execution("first", "running", started_at="2026-01-01T12:00:01")
    old.execution("second", "running", started_at="2026-01-01T12:10:00")
    old.execution("third", "done")
    migrate.apply(unopened)
    (first, second), (third,) = (jobs.executions(unopened, id_) for id_ in ("running", "done"))

    assert [row["status"] for row in (first, second, third)] == ["failed", "running", "failed"]
    assert (first["cause"], third["cause"]) == ("lost", "lost")
    assert job(unopened, "running")["execution_id"] == "second"


@pytest.mark.parametrize("timeout", [None, 0])
def test_no_timeout_meant_the_usual_one(
    old: OldFile, unopened: Database, timeout: int | None
) -> None:
    old.job("a", timeout=timeout)
    migrate.apply(unopened)

    assert job(unopened, "a")["timeout"] == 300


def test_cancelled_jobs_get_the_time_they_ended(old: OldFile, unopened: Database) -> None:
    old.job("a", status="cancelled")
    migrate.apply(unopened)

    assert job(unopened, "a")["completed_at"] == job(unopened, "a")["updated_at"]
    assert jobs.clear(unopened, "2026-06-01T00:00:00") == 1


def test_odd_values_do_not_stop_the_upgrade(old: OldFile, unopened: Database) -> None:
    old.job("a", dependencies=None, params=None, priority=None, attempts=None, retry_after="soon")
    old.job("b", dependencies="not json", created_at="", status="odd", max_attempts=None)
    old.job("c", dependencies='{"a": 1}')
    migrate.apply(unopened)

    assert jobs.counts(unopened) == {"pending": 2, "odd": 1}
    assert {taken(unopened)["id"], taken(unopened)["id"]} == {"a", "c"}


def test_many_rows_come_over_in_pages(old: OldFile, unopened: Database) -> None:
    with closing(sqlite3.connect(old.path)) as connection:
        old.job("0")
        connection.execute(
            "INSERT INTO jobs (id, name, function_name, function_module, status, created_at, "
            "updated_at) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
            "i < 1300) SELECT i, i, 'f', 'm', 'pending', '2026-01-01', '2026-01-01' FROM n"
        )
        connection.commit()
    migrate.apply(unopened)

    assert jobs.counts(unopened) == {"pending": 1301}


def test_an_upgrade_killed_in_the_middle_leaves_the_old_file_as_it_was(
    old: OldFile, unopened: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        old.job(str(number))
    old.execution("e", "1")
    before = dump(address)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(upgrade, "_execution", die)
        try:
            migrate.apply(unopened)
        finally:
            os._exit(1)

    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert dump(address) == before

    migrate.apply(unopened)

    assert jobs.counts(unopened) == {"pending": 10}
    assert settle_and_claim.claim(unopened, WORKER, new_id()) is not None
