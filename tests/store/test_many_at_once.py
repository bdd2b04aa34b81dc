"""Statements for the rows of a whole batch: each row is guarded as by the statement for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql
from support.ledger import stored, taken

from gigq.store.verbs import jobs, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

LATER = "2100-01-01T00:00:00.000000+00:00"
EARLIER = "1999-01-01T00:00:00.000000+00:00"
STATUSES = ["pending", "running", "completed", "failed", "timeout", "cancelled", "paused"]


def sql(db: Database, statement: str, *values: Any) -> None:
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, statement, values)


def many(db: Database, name: str, rows: list[tuple[Any, ...]]) -> int:
    with db.transaction(durable=False) as session:
        return session.many(name, rows)


def execution(token: str, now: str = LATER, **more: Any) -> tuple[Any, ...]:
    values = {"result": "1", "output": None, "rss": None, "cpu": None, "wall": None, **more}
    return (*values.values(), now, now, token)


def of_job(job_id: str, token: str, now: str = LATER) -> tuple[Any, ...]:
    return "[1]", now, now, now, job_id, token


def test_nothing_is_done_for_no_rows(db: Database) -> None:
    assert many(db, "complete_execution", []) == 0


def test_each_row_gets_its_own_values(db: Database) -> None:
    ids = [stored(db) for _ in range(2)]
    tokens = [taken(db)["execution_id"] for _ in ids]
    used = {"output": "a\x00b", "rss": 7, "cpu": 0.25, "wall": 3}
    rows = [execution(tokens[0], **used), execution(tokens[1], result="2", wall=0.00001)]

    assert many(db, "complete_execution", rows) == 2
    first, second = (jobs.executions(db, job_id)[0] for job_id in ids)
    assert (first["result"], first["peak_rss"], first["cpu_time"], first["wall_time"]) == (
        *("1", 7, 0.25, 3),
    )
    assert (second["result"], second["output"], second["wall_time"]) == ("2", None, 0.00001)
    assert {first["completed_at"], second["completed_at"]} == {LATER}


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_open_execution_is_completed(db: Database, status: str) -> None:
    ids = [stored(db) for _ in range(2)]
    tokens = [taken(db)["execution_id"] for _ in ids]
    sql(db, "UPDATE job_executions SET status = ? WHERE id = ?", status, tokens[0])

    changed = many(db, "complete_execution", [execution(token) for token in tokens])
    assert changed == 1 + (status == "running")
    assert jobs.executions(db, ids[1])[0]["status"] == "completed"


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_running_job_is_completed(db: Database, status: str) -> None:
    ids = [stored(db) for _ in range(2)]
    rows = [of_job(job_id, taken(db)["execution_id"]) for job_id in ids]
    sql(db, "UPDATE jobs SET status = ? WHERE id = ?", status, ids[0])

    assert many(db, "complete_job_of_execution", rows) == 1 + (status == "running")
    assert jobs.get(db, ids[1])["result"] == "[1]"


def test_a_job_is_completed_under_its_current_execution_only(db: Database) -> None:
    ids = [stored(db) for _ in range(2)]
    tokens = [taken(db)["execution_id"] for _ in ids]
    crossed = [of_job(ids[0], tokens[1]), of_job(ids[1], tokens[1])]

    assert many(db, "complete_job_of_execution", crossed) == 1
    assert [jobs.get(db, job_id)["status"] for job_id in ids] == ["running", "completed"]


def test_an_end_is_never_before_the_start(db: Database) -> None:
    job_id = stored(db)
    token = taken(db)["execution_id"]
    many(db, "complete_execution", [execution(token, EARLIER)])
    many(db, "complete_job_of_execution", [of_job(job_id, token, EARLIER)])
    (ended,), job = jobs.executions(db, job_id), jobs.get(db, job_id)

    assert ended["completed_at"] == ended["started_at"]
    assert job["completed_at"] == job["started_at"]
    assert job["updated_at"] == EARLIER


def test_the_other_executions_stay_open(db: Database) -> None:
    stored(db), stored(db)
    tokens = [taken(db)["execution_id"] for _ in range(2)]
    many(db, "complete_execution", [execution(tokens[0])])

    assert [row["execution_id"] for row in settle_and_claim.open_executions(db)] == tokens[1:]
