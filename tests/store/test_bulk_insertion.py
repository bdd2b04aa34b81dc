"""Batches that PostgreSQL stores by COPY, held to what a single row would be."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql, stores
from support.ledger import insert, job_row, stored
from support.postgres_roles import role

from gigq import Job
from gigq.errors import MissingParent, StoreError
from gigq.model.ids import new_id
from gigq.store.postgres import connections
from gigq.store.verbs import jobs

if TYPE_CHECKING:
    from gigq import JobQueue
    from gigq.store.database import Database

# More than the number of jobs from which COPY is used.
MANY = 200
HOSTILE = "\\N\t\\. \r\n\x01\\\x7fé\U0001f600"


def work(text: str) -> None:
    """The job."""


def many(**columns: Any) -> list[dict[str, Any]]:
    return [job_row(**columns) for _ in range(MANY)]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"name": HOSTILE, "description": HOSTILE, "params": HOSTILE, "queue": HOSTILE},
        *({"description": f"a{special}N"} for special in "\\\t\n\r"),
        {"description": "", "function_file": None, "workflow": ""},
        {"timeout": None, "crash_limit": None, "memory_limit": 2**40, "priority": -5},
        {"timeout": 0.1, "retry_delay": 1e-6, "max_attempts": 7, "on_parent_failure": "wait"},
        {"pass_parent_results": True, "retry_policy": '{"delay": 1}'},
        {"retry_after": "2026-01-01T00:00:00.000000+00:00", "due_why": "delay"},
    ],
)
def test_a_job_of_a_large_batch_has_the_columns_of_a_single_one(
    db: Database, columns: dict[str, Any]
) -> None:
    alone = jobs.get(db, stored(db, **columns))
    together = [jobs.get(db, id_) for id_ in insert(db, many(**columns))]

    assert alone is not None
    for found in together:
        assert found is not None
        own = {name: found[name] for name in ("id", "created_at", "updated_at")}
        assert found == {**alone, **own}


def test_text_that_no_database_stores_is_escaped_as_in_a_single_job(queue: JobQueue) -> None:
    params = {"text": f"{HOSTILE}\0\udce9"}
    alone = queue.get_status(queue.submit(Job("alone", work, params=params)))
    together = [Job("together", work, params=params) for _ in range(MANY)]
    queue.submit_many(together)

    assert all(queue.get_status(job.id)["params"] == alone["params"] for job in together)


def test_jobs_of_a_large_batch_are_claimed_in_their_order(db: Database) -> None:
    rows = many()
    insert(db, rows)
    found = raw_sql.run(db, "SELECT id FROM jobs ORDER BY rowid")

    assert [id_ for (id_,) in found] == [row["id"] for row in rows]


def test_a_known_job_in_a_large_batch_stays_as_it_is_and_the_others_are_stored(
    db: Database,
) -> None:
    known = job_row("first")
    insert(db, [known])
    before = jobs.get(db, known["id"])
    rows = [*many(), {**known, "name": "second"}]
    insert(db, rows)

    assert jobs.get(db, known["id"]) == before
    assert raw_sql.run(db, "SELECT count(*) FROM jobs") == [(MANY + 1,)]


def test_of_two_rows_of_a_large_batch_with_one_id_the_first_counts(db: Database) -> None:
    shared = new_id()
    insert(db, [job_row("first", id=shared), *many(), job_row("second", id=shared)])

    assert jobs.get(db, shared)["name"] == "first"  # type: ignore[index]


def test_a_large_batch_with_parents_is_stored_once_more_as_it_is(db: Database) -> None:
    parent = job_row("parent")
    rows = [parent, *many(dependencies=[parent["id"]])]
    insert(db, rows)
    insert(db, rows)

    assert raw_sql.run(db, "SELECT count(*) FROM job_dependencies") == [(MANY,)]
    assert raw_sql.run(db, "SELECT DISTINCT unmet FROM jobs ORDER BY unmet") == [(0,), (1,)]


def test_a_large_batch_inside_a_transaction_is_undone_with_it(db: Database) -> None:
    with suppress(MissingParent), db.transaction(durable=True):
        insert(db, many())
        stored(db, dependencies=["missing"])

    assert raw_sql.run(db, "SELECT count(*) FROM jobs") == [(0,)]


@pytest.mark.only("postgres")
def test_a_large_batch_has_the_time_of_the_server_at_which_it_was_stored(db: Database) -> None:
    before = db.now()
    insert(db, many(updated_at="2000-01-01T00:00:00.000000+00:00"))
    after = db.now()

    for (at,) in raw_sql.run(db, "SELECT DISTINCT updated_at FROM jobs"):
        assert before <= at <= after


@pytest.mark.only("postgres")
def test_a_large_batch_is_stored_in_a_table_with_security_by_row(
    db: Database, address: str
) -> None:
    raw_sql.run(db, "ALTER TABLE jobs ENABLE ROW LEVEL SECURITY")
    raw_sql.run(db, "CREATE POLICY all_rows ON jobs USING (true)")
    with role(address, "ALL ON ALL TABLES IN SCHEMA {schema}") as of_role:
        insert(stores.database_at(of_role), many())
        connections.close_connection(of_role)

    assert raw_sql.run(db, "SELECT count(*) FROM jobs") == [(MANY,)]


@pytest.mark.parametrize("number", [1, MANY])
def test_a_refused_batch_inside_a_transaction_undoes_only_itself(db: Database, number: int) -> None:
    with db.transaction(durable=True):
        stored(db, "first")
        with suppress(StoreError, OverflowError):
            insert(db, [job_row(priority=2**70) for _ in range(number)])
        with suppress(MissingParent):
            stored(db, dependencies=["missing"])
        stored(db, "last")

    assert raw_sql.run(db, "SELECT name FROM jobs ORDER BY name") == [("first",), ("last",)]
