"""Jobs of functions that a process does not know, and of a schema that it does not know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.ledger import insert, job_row, stored

from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.claim import Claimant, ClaimRequest, SettleBatch
from gigq.model.execution_result import ExecutionResult, UnknownFunction
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store import schema_versions
from gigq.store.dialect import dialect_of
from gigq.store.verbs import jobs, processes, settle_and_claim, unknown_functions
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from gigq.store.database import Database, Row

RUN = "gigqd:1"
LONG = 600.0
POOLS = json.dumps({"pools": [{"name": "default", "size": 1, "queues": ["*"]}]})
OTHER_POOLS = json.dumps({"pools": [{"name": "default", "size": 1, "queues": ["mail"]}]})
NO_WORKERS = json.dumps({"pools": [{"name": "default", "size": 0, "queues": ["*"]}]})


def claimed(
    db: Database,
    *unknown: str,
    queues: tuple[str, ...] | None = None,
    run: str = RUN,
    most: int = 1,
) -> list[Row]:
    request = ClaimRequest(new_id(), most, unknown=unknown)
    who = Claimant("worker", run, queues)
    return settle_and_claim.exchange(db, SettleBatch(), who, request).claimed


def not_found(wait: float = LONG, host: str = "one") -> ExecutionResult:
    said = "gigq.errors.FunctionNotFound: there is no module 'app'\n\nTraceback ..."
    unknown = UnknownFunction("app", "work", host, wait)
    return ExecutionResult(JobStatus.FAILED, error=said, cause=Cause.ERROR, unknown=unknown)


def look(db: Database, result: ExecutionResult, run: str = RUN) -> Row:
    """Claim a job, settle it as one of an unknown function, and return it."""
    (row,) = claimed(db, run=run)
    settle_and_claim.settle(db, row["execution_id"], result)
    found = jobs.get(db, row["id"])
    assert found is not None
    return found


def age(db: Database, seconds: float) -> None:
    """Let the notes and the jobs be older."""
    with db.transaction(durable=True) as session:
        at = clock.after(session.now, -seconds)
        session.connection.execute(f"UPDATE gigq_unknown_functions SET since = '{at}'")
        session.connection.execute(f"UPDATE jobs SET due_at = '{at}'")


def test_the_claim_of_a_job_of_an_unknown_function_is_undone(db: Database) -> None:
    job_id = stored(db, max_attempts=1)
    (row,) = claimed(db)

    done = settle_and_claim.settle(db, row["execution_id"], not_found())
    job = jobs.get(db, job_id)

    assert done is not None
    assert (done.job_status, done.is_first_unknown) == (JobStatus.PENDING, True)
    assert job is not None
    assert (job["attempts"], job["refunds"], job["execution_id"]) == (0, 0, None)
    assert jobs.executions(db, job_id) == []
    (note,) = unknown_functions.listed(db)
    assert (note["run"], note["module"], note["host"]) == (RUN, "app", "one")
    assert note["error"] == "gigq.errors.FunctionNotFound: there is no module 'app'"


def test_only_the_first_note_of_a_run_is_the_first(db: Database) -> None:
    stored(db)
    firsts = []
    for run in (RUN, RUN, "gigqd:2"):
        (row,) = claimed(db, run=run)
        done = settle_and_claim.settle(db, row["execution_id"], not_found())
        assert done is not None
        firsts.append(done.is_first_unknown)

    assert firsts == [True, False, True]


@pytest.mark.parametrize("queues", [None, ("default",), ("default", "mail")])
def test_a_claim_leaves_the_functions_out_that_it_names(
    db: Database, queues: tuple[str, ...] | None
) -> None:
    insert(db, [job_row(f"unknown {number}") for number in range(3)])
    script = job_row("script", function_module="__main__", function_file="/app/one.py")
    known = job_row("known", function_name="other")
    insert(db, [script, known])
    unknown = ("app:work", "/app/one.py:work")

    taken = [claimed(db, *unknown, queues=queues, most=9) for _ in range(2)]

    assert [[row["name"] for row in rows] for rows in taken] == [["known"], []]


def test_a_job_ends_for_good_after_its_wait_and_names_the_hosts(db: Database) -> None:
    stored(db)
    look(db, not_found(host="two"), run="gigqd:2")
    look(db, not_found())
    age(db, LONG + 1)
    job = look(db, not_found())

    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert job["error"] == (
        "gigq.errors.FunctionNotFound: no daemon knew the function app:work for 10m; hosts asked: "
        "one, two. The last one: there is no module 'app'"
    )


def test_a_job_that_was_due_long_before_the_function_was_missed_waits(db: Database) -> None:
    stored(db)
    age(db, LONG + 1)

    assert look(db, not_found())["status"] == "pending"


def test_a_job_that_came_after_the_function_was_missed_waits(db: Database) -> None:
    stored(db)
    look(db, not_found())
    with db.transaction(durable=True) as session:
        at = clock.after(session.now, -LONG - 1)
        session.connection.execute(f"UPDATE gigq_unknown_functions SET since = '{at}'")

    assert look(db, not_found())["status"] == "pending"


def test_an_old_note_counts_no_more(db: Database) -> None:
    stored(db)
    look(db, not_found())
    age(db, LONG + 1)
    with db.transaction(durable=True) as session:
        at = clock.after(session.now, -1000)
        session.connection.execute(f"UPDATE gigq_unknown_functions SET seen_at = '{at}'")

    assert unknown_functions.listed(db) == []
    assert look(db, not_found())["status"] == "pending"


@pytest.mark.parametrize(
    ("info", "lease", "status"),
    [
        (POOLS, 60.0, "pending"),
        (OTHER_POOLS, 60.0, "failed"),
        (NO_WORKERS, 60.0, "failed"),
        ("{}", 60.0, "failed"),
        (POOLS, -60.0, "failed"),
    ],
    ids=["serves the queue", "another queue", "no workers", "plain worker", "lease is over"],
)
def test_a_daemon_that_has_not_looked_yet_is_waited_for(
    db: Database, info: str, lease: float, status: str
) -> None:
    stored(db)
    processes.renew(db, Process("gigqd:2", "gigqd", "two", 7, "0.1.0", lease, info))
    look(db, not_found())
    age(db, LONG + 1)

    assert look(db, not_found())["status"] == status


def test_a_job_whose_cancel_was_requested_is_cancelled(db: Database) -> None:
    job_id = stored(db)
    (row,) = claimed(db)
    with db.transaction(durable=True) as session:
        settle_and_claim.request_cancel(session, job_id)

    done = settle_and_claim.settle(db, row["execution_id"], not_found())

    assert done is not None
    assert done.job_status is JobStatus.CANCELLED


@pytest.mark.parametrize("queues", [None, ("default",), ("default", "mail")])
@pytest.mark.parametrize("most", [1, 9])
def test_a_job_that_needs_a_later_schema_is_left_to_newer_workers(
    db: Database, queues: tuple[str, ...] | None, most: int
) -> None:
    with db.read() as session:
        known = schema_versions.latest(dialect_of(session.connection))
    ids = [stored(db) for _ in range(4)]
    with db.transaction(durable=True) as session:
        for job_id, schema in zip(ids, (known + 1, known, known + 2, known - 1), strict=True):
            session.connection.execute(
                f"UPDATE jobs SET needs_schema = {schema} WHERE id = '{job_id}'"
            )

    taken: list[str] = []
    while rows := claimed(db, queues=queues, most=most):
        taken += [row["id"] for row in rows]

    assert taken == [ids[1], ids[3]]
