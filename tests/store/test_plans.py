"""The hot statements use the partial indexes, for any history and depth."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import WORKER, insert, job_row, over, ran, stored, taken

from gigq.model import clock
from gigq.model.claim import ClaimRequest, SettleBatch
from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.statements import statements
from gigq.store.verbs import settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

pytestmark = pytest.mark.only("sqlite")

DUE = [
    *("claim_from_queue", "claim_from_queues", "claim_from_every_queue", "anything_due"),
    *("queues_with_due_jobs", "due_up_to", "best_due", "anything_due_in_queues"),
]
DELAYED = [
    *("promote_delayed", "next_due_at", "next_due_at_in_queues", "next_due_at_in_other_queues"),
    "needs_before_claim",
    *("queues_with_delayed_jobs",),
]


def plan(db: Database, name: str) -> list[str]:
    sql = statements("sqlite")[name]
    by_name = dict.fromkeys(re.findall(r":(\w+)", sql), "[]") | {"limit": 1}
    params = ["[]"] * sql.count("?") or by_name
    with db.read() as session:
        rows = raw_sql.execute(session, f"EXPLAIN QUERY PLAN {sql}", params)
    return [row[3] for row in rows]


@pytest.mark.fault("G12")
@pytest.mark.parametrize("name", DUE)
def test_a_claim_looks_only_at_due_jobs(db: Database, name: str) -> None:
    steps = [step for step in plan(db, name) if re.search(r"\b(jobs|best)\b", step)]
    allowed = r"INDEX jobs_due\b|INTEGER PRIMARY KEY \(rowid=\?\)"

    assert steps
    assert all(re.search(allowed, step) for step in steps), steps
    assert any("jobs_due" in step for step in steps)


@pytest.mark.parametrize("name", DELAYED)
def test_delayed_jobs_are_found_by_their_time(db: Database, name: str) -> None:
    assert any("INDEX jobs_delayed (retry_after" in step for step in plan(db, name))
    assert not any(re.match(r"SCAN jobs\b", step) for step in plan(db, name))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("open_executions", "job_executions_open"),
        ("strays", "jobs_stray"),
        ("needs_before_claim", "jobs_expiring"),
        ("expire_jobs", "jobs_expiring"),
        ("next_expiry_at", "jobs_expiring"),
        ("cancel_requests", "job_executions_to_cancel"),
        ("request_cancel", "job_executions_open"),
        ("adopt_execution", "job_executions_open"),
        ("executions_of_job", "job_executions_of"),
        ("prune_executions", "job_executions_of"),
        ("prune_edges", "job_dependencies_of"),
        ("parents_of_unfinished", "jobs_with_parents"),
        ("oldest_finished", "jobs_finished"),
        ("latest_beyond", "jobs_finished"),
        ("finished_up_to", "jobs_finished"),
        ("finished_statuses", "jobs_finished"),
        ("pending_up_to", "jobs_due"),
        ("pending_up_to", "jobs_delayed"),
        ("pending_up_to", "jobs_blocked"),
        ("number_of_running", "job_executions_open"),
        ("number_of_running", "jobs_stray"),
        ("page_of_running", "job_executions_open"),
        ("page_of_running", "jobs_stray"),
        ("page_of_finished", "jobs_finished"),
        ("number_of_finished", "jobs_finished"),
        ("number_of_pending", "jobs_due"),
        ("number_of_pending", "jobs_delayed"),
        ("number_of_pending", "jobs_blocked"),
        ("page_of_few_pending", "jobs_blocked"),
        ("page_of_delayed", "jobs_delayed"),
        ("page_of_delayed", "jobs_blocked"),
        ("summary_of_delayed", "jobs_delayed"),
        ("summary_of_delayed", "jobs_blocked"),
        ("number_of_all", "jobs_by_age"),
        ("page", "jobs_by_age"),
    ],
)
def test_each_index_serves_the_statement_it_was_made_for(
    db: Database, name: str, index: str
) -> None:
    assert any(f"INDEX {index}" in step for step in plan(db, name))


SETTLE = (
    *("settle_execution", "complete_job", "job_to_decide", "end_attempt", "release_dependents"),
    *("is_awaited",),
    *("fail_dependents", "release_dependents_that_do_not_wait", "delete_edges_from"),
    *("delete_edges_to_dependents_that_do_not_wait", "delete_edges_to", "jobs_by_id", "job"),
    *("complete_execution", "complete_job_of_execution", "awaited_among"),
    *("claim_rows", "open_executions_of_rows"),
    *("delete_unstarted_execution", "release_job", "supersede_others", "reschedule_job"),
    *("needs_before_claim", "expire_jobs", "next_expiry_at"),
)


@pytest.mark.parametrize("name", SETTLE)
def test_what_a_settle_or_a_submit_needs_is_never_scanned(db: Database, name: str) -> None:
    # Of the pauses the first one is read, to see that there is one.
    harmless = r"SCAN (?!json_each|CONSTANT|gigq_pauses)"

    assert not [step for step in plan(db, name) if re.match(harmless, step)]


def work_of_a_round(db: Database) -> int:
    """Instructions of the database's virtual machine for one claim and one settle, in tens."""
    ticks: list[int] = []
    with db.read() as session:
        connection = session.connection
    connection.set_progress_handler(lambda: ticks.append(1), 10)
    ran(db)
    connection.set_progress_handler(None, 0)
    return len(ticks)


@pytest.mark.fault("G12")
def test_a_claim_costs_the_same_whatever_waits_and_whatever_has_finished(db: Database) -> None:
    insert(db, [job_row() for _ in range(10)])
    ran(db)
    alone = work_of_a_round(db)
    late = clock.after(clock.utc_now(), 3600)
    insert(db, [job_row() for _ in range(3000)])
    insert(db, [job_row(retry_after=late) for _ in range(1000)])
    parent = stored(db, priority=-9)
    insert(db, [job_row(dependencies=[parent], priority=9) for _ in range(1000)])
    for _ in range(300):
        ran(db)

    assert work_of_a_round(db) <= alone * 1.2


def work_of_a_batch(db: Database) -> int:
    """The same for claiming eight at once, and for settling them together."""
    ticks: list[int] = []
    with db.read() as session:
        connection = session.connection
    connection.set_progress_handler(lambda: ticks.append(1), 10)
    rows = settle_and_claim.exchange(
        db, SettleBatch(), WORKER, ClaimRequest(new_id(), most=8, sharers=2)
    )[1]
    settle_and_claim.exchange(db, SettleBatch(tuple(map(over, rows))), None, None)
    connection.set_progress_handler(None, 0)
    assert len(rows) == 8
    return len(ticks)


@pytest.mark.fault("G12")
def test_claiming_several_costs_the_same_whatever_waits_and_whatever_has_finished(
    db: Database,
) -> None:
    insert(db, [job_row() for _ in range(40)])
    work_of_a_batch(db)
    alone = work_of_a_batch(db)
    late = clock.after(clock.utc_now(), 3600)
    insert(db, [job_row() for _ in range(3000)])
    insert(db, [job_row(retry_after=late) for _ in range(1000)])
    parent = stored(db, priority=-9)
    insert(db, [job_row(dependencies=[parent], priority=9) for _ in range(1000)])
    for _ in range(40):
        work_of_a_batch(db)

    assert work_of_a_batch(db) <= alone * 1.2


def test_several_completed_jobs_are_settled_by_two_statements_and_one_question(
    db: Database,
) -> None:
    insert(db, [job_row() for _ in range(5)])
    rows = settle_and_claim.exchange(db, SettleBatch(), WORKER, ClaimRequest(new_id(), most=8))[1]
    said: list[str] = []
    with db.read() as session:
        connection = session.connection
    connection.set_trace_callback(said.append)
    settled = settle_and_claim.exchange(db, SettleBatch(tuple(map(over, rows))), None, None)[0]
    connection.set_trace_callback(None)
    verbs = [text.split()[0] for text in said]

    assert all(settled)
    assert verbs == ["BEGIN", *["UPDATE"] * 10, "SELECT", "COMMIT"]


def test_a_completed_settle_reads_nothing_before_it_writes(db: Database) -> None:
    stored(db)
    execution_id = taken(db)["execution_id"]
    said: list[str] = []
    with db.read() as session:
        connection = session.connection
    connection.set_trace_callback(said.append)
    settled = settle_and_claim.settle(db, execution_id, ExecutionResult(JobStatus.COMPLETED))
    connection.set_trace_callback(None)
    verbs = [text.split()[0] for text in said]

    assert settled is not None
    assert verbs == ["BEGIN", "UPDATE", "UPDATE", "SELECT", "COMMIT"]
    assert settle_and_claim.claim(db, WORKER, new_id()) is None
