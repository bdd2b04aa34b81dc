"""Each guarded statement by itself: what it must leave alone, it leaves alone.

The verbs look before they write, so that a guard that is missing might not show through them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql
from support.ledger import COMPLETED, FAILED, WORKER, request_cancel, status_of, stored, taken

from gigq.store.verbs import jobs, settle, settle_and_claim

if TYPE_CHECKING:
    from gigq.store.database import Database

NOW = "2026-06-01T00:00:00.000000+00:00"
LATER = "2999-01-01T00:00:00.000000+00:00"
STATUSES = ["pending", "running", "completed", "failed", "timeout", "cancelled", "paused"]
PARAMS = {
    "now": NOW, "result": "1", "status": "failed", "attempts": 9, "released": 1, "snoozed": 1,
    "crashed": 1, "error": "changed", "cause": "error", "completed_at": NOW, "retry_after": NOW,
    "next_execution_id": "changed", "worker_id": "changed", "run": "changed", "attempt": 9,
    "interrupted_by": "timeout", "returned_after": 1.5, "due_at": NOW, "due_why": "retry",
    "one_more": 0,
}  # fmt: skip
BY_POSITION = {
    "complete_execution": (
        *("result", "output", "peak_rss", "cpu_time", "wall_time", "now", "now", "execution_id"),
    ),
    "complete_job_of_execution": ("result", "now", "now", "now", "job_id", "execution_id"),
}
ALLOWED = {
    "complete_job": {"running"},
    "complete_job_of_execution": {"running"},
    "release_job": {"running"},
    "end_attempt": {"running"},
    "cancel_jobs": {"pending"},
    "fail_dependent": {"pending"},
    "reschedule_job": {"pending"},
    "requeue_jobs": {"failed", "timeout", "cancelled"},
    "adopt_job": {"pending", "running"},
    "adopt_stray": {"running"},
}


def sql(db: Database, statement: str, *values: Any) -> None:
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, statement, values)


def bound(name: str, params: dict[str, Any]) -> Any:
    """Parameters as the statement takes them."""
    return tuple(params[key] for key in BY_POSITION[name]) if name in BY_POSITION else params


def changed(db: Database, name: str, job_id: str, execution_id: str | None, **more: Any) -> bool:
    """Whether a statement changes the job."""
    before = jobs.get(db, job_id)
    with db.transaction(durable=False) as session:
        one = {"job_id": job_id, "ids": json.dumps([job_id]), "execution_id": execution_id}
        params = {**PARAMS, **one, **more}
        session.all(name, bound(name, params))
    return jobs.get(db, job_id) != before


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_left_only_by_the_statements_that_may(
    db: Database, name: str, status: str
) -> None:
    job_id = stored(db)
    held = None if name == "adopt_stray" else "mine"
    sql(db, "UPDATE jobs SET status = ?, execution_id = ? WHERE id = ?", status, held, job_id)

    assert changed(db, name, job_id, "mine") == (status in ALLOWED[name])


@pytest.mark.parametrize(
    "name",
    ["complete_job", "complete_job_of_execution", "release_job", "end_attempt", "adopt_job"],
)
@pytest.mark.parametrize("held", ["another", None])
def test_a_running_job_answers_only_to_its_current_execution(
    db: Database, name: str, held: str | None
) -> None:
    job_id = stored(db)
    sql(db, "UPDATE jobs SET status = 'running', execution_id = ? WHERE id = ?", held, job_id)

    assert changed(db, name, job_id, "mine") == (name == "adopt_job" and held is None)


def test_a_stray_is_adopted_only_while_nobody_has_it(db: Database) -> None:
    job_id = stored(db)
    sql(db, "UPDATE jobs SET status = 'running', execution_id = 'x' WHERE id = ?", job_id)

    assert not changed(db, "adopt_stray", job_id, "mine")


def test_a_job_that_waits_for_a_parent_is_not_adopted(db: Database) -> None:
    job_id = stored(db, dependencies=[stored(db)])

    assert not changed(db, "adopt_job", job_id, "mine")


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("over", [True, False])
def test_an_execution_id_that_was_used_is_not_adopted(db: Database, own: bool, over: bool) -> None:
    first, second = stored(db), stored(db)
    used = taken(db)["execution_id"]
    if over:
        settle_and_claim.settle(db, used, FAILED if own else COMPLETED)
    sql(db, "UPDATE jobs SET status = 'pending' WHERE id = ?", first)
    job_id = first if own else second

    assert changed(db, "adopt_job", job_id, used) == (own and not over)


def test_adopting_leaves_open_executions_of_ours_and_what_is_over_as_they_are(db: Database) -> None:
    job_id = stored(db)
    for _ in range(2):
        settle_and_claim.settle(db, taken(db)["execution_id"], FAILED)
    taken(db)
    before = jobs.executions(db, job_id)
    with db.transaction(durable=False) as session:
        done = session.run("adopt_execution", {**PARAMS, "job_id": job_id, "execution_id": "mine"})

    assert done == 0
    assert jobs.executions(db, job_id) == before


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_open_execution_of_foreign_sql_is_adopted(db: Database, status: str) -> None:
    job_id = stored(db)
    settle_and_claim.settle(db, taken(db)["execution_id"], FAILED)
    sql(db, "UPDATE job_executions SET run = NULL, status = ?", status)
    with db.transaction(durable=False) as session:
        done = session.run("adopt_execution", {**PARAMS, "job_id": job_id, "execution_id": "mine"})

    assert done == (status == "running")


@pytest.mark.parametrize(
    "name",
    [
        *("settle_execution", "complete_execution", "delete_unstarted_execution"),
        *("supersede_execution", "request_cancel"),
    ],
)
@pytest.mark.parametrize("status", STATUSES)
def test_only_an_open_execution_is_changed(db: Database, name: str, status: str) -> None:
    job_id = stored(db)
    token = taken(db)["execution_id"]
    sql(db, "UPDATE job_executions SET status = ?", status)
    before = jobs.executions(db, job_id)
    with db.transaction(durable=False) as session:
        ids = {"job_id": job_id, "execution_id": token}
        session.all(name, bound(name, {**settle._UNKNOWN._asdict(), **PARAMS, **ids}))

    assert (jobs.executions(db, job_id) != before) == (status == "running")


@pytest.mark.parametrize("status", STATUSES)
def test_only_another_open_execution_is_superseded(db: Database, status: str) -> None:
    job_id = stored(db)
    token = taken(db)["execution_id"]
    sql(db, "UPDATE job_executions SET status = ?", status)
    with db.transaction(durable=False) as session:
        own = session.run("supersede_others", {**PARAMS, "job_id": job_id, "execution_id": token})
        others = session.run("supersede_others", {**PARAMS, "job_id": job_id, "execution_id": "x"})

    assert (own, others) == (0, status == "running")


@pytest.mark.parametrize("name", ["settle_execution", "complete_execution"])
def test_an_execution_is_ended_and_the_others_stay_open(db: Database, name: str) -> None:
    stored(db), stored(db)
    tokens = [taken(db)["execution_id"] for _ in range(2)]
    with db.transaction(durable=False) as session:
        params = {**settle._UNKNOWN._asdict(), **PARAMS, "execution_id": tokens[0]}
        session.all(name, bound(name, params))

    assert [row["execution_id"] for row in settle_and_claim.open_executions(db)] == tokens[1:]


def test_a_claim_is_forgotten_alone_and_only_while_its_cancel_is_not_requested(
    db: Database,
) -> None:
    ids = [stored(db) for _ in range(3)]
    tokens = [taken(db)["execution_id"] for _ in ids]
    request_cancel(db, ids[1])
    with db.transaction(durable=False) as session:
        done = [session.all("delete_unstarted_execution", {"execution_id": t}) for t in tokens[:2]]

    assert [len(rows) for rows in done] == [1, 0]
    assert [row["execution_id"] for row in settle_and_claim.open_executions(db)] == tokens[1:]


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_open_execution_is_decided(db: Database, status: str) -> None:
    stored(db)
    token = taken(db)["execution_id"]
    sql(db, "UPDATE job_executions SET status = ?", status)
    found = db.one("job_to_decide", {"execution_id": token})

    assert (found is not None) == (status == "running")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET status = 'pending'",
        "UPDATE jobs SET status = 'completed'",
        "UPDATE jobs SET execution_id = 'another'",
    ],
)
def test_a_job_is_decided_only_while_it_runs_under_that_execution(
    db: Database, change: str
) -> None:
    stored(db)
    token = taken(db)["execution_id"]
    sql(db, change)

    assert db.one("job_to_decide", {"execution_id": token}) is None


def test_a_request_to_cancel_is_open_only_as_long_as_its_execution(db: Database) -> None:
    job_id = stored(db)
    token = taken(db)["execution_id"]
    request_cancel(db, job_id)
    sql(db, "UPDATE job_executions SET status = 'failed'")

    assert settle_and_claim.cancel_requests(db) == []
    assert not settle_and_claim.is_cancel_requested(db, token)


def test_the_schema_itself_refuses_a_second_open_execution(db: Database) -> None:
    job_id = stored(db)
    taken(db)

    with pytest.raises(Exception, match=r"(?i)unique .*job_executions"):
        sql(
            db,
            "INSERT INTO job_executions (id, job_id, status, started_at) "
            "VALUES ('second', ?, 'running', '2026-01-01')",
            job_id,
        )


CLAIMS = [
    ("claim_from_queue", {"queue": "default"}),
    ("claim_from_queues", {"queues": '["default", "more"]'}),
    ("claim_from_every_queue", {"excluded": "[]"}),
]


@pytest.mark.parametrize(("name", "where"), CLAIMS)
@pytest.mark.parametrize(
    "change",
    [
        *(f"status = '{status}'" for status in STATUSES if status != "pending"),
        "unmet = 1",
        "retry_after = '2020-01-01'",
    ],
)
def test_only_what_is_due_is_claimed(
    db: Database, name: str, where: dict[str, str], change: str
) -> None:
    job_id, due = stored(db, priority=9), stored(db)
    sql(db, f"UPDATE jobs SET {change} WHERE id = ?", job_id)

    assert not changed(db, name, job_id, "mine", **where)
    assert status_of(db, due) == "running"


@pytest.mark.parametrize(("name", "where"), CLAIMS)
def test_the_highest_priority_is_claimed_first_then_the_oldest_then_the_lowest_id(
    db: Database, name: str, where: dict[str, str]
) -> None:
    rows = [(0, "2026-01-01", "a"), (1, "2026-01-03", "b"), (1, "2026-01-02", "d")]
    rows += [(1, "2026-01-02", "c"), (0, "2025-01-01", "e")]
    for priority, created_at, id_ in rows:
        stored(db, id=id_, priority=priority, created_at=created_at)
    order = []
    for number in range(len(rows)):
        params = {"worker_id": "w", "execution_id": f"e{number}", "now": NOW, **where}
        with db.transaction(durable=False) as session:
            order += [row["id"] for row in session.all(name, params)]

    assert order == ["c", "d", "b", "e", "a"]


def best(db: Database, limit: int, *queues: str) -> list[str]:
    where = {"queues": json.dumps(queues or ["default", "more"]), "limit": limit, "now": NOW}
    with db.transaction(durable=False) as session:  # it locks what it finds, where rows are locked
        return [row["id"] for row in session.all("best_due", where)]


@pytest.mark.parametrize(
    "change",
    [
        *(f"status = '{status}'" for status in STATUSES if status != "pending"),
        "unmet = 1",
        "retry_after = '2020-01-01'",
        "queue = 'other'",
    ],
)
def test_several_are_looked_for_only_among_what_is_due_in_those_queues(
    db: Database, change: str
) -> None:
    job_id, due = stored(db, priority=9), stored(db, queue="more", expires_at=LATER)
    sql(db, f"UPDATE jobs SET {change} WHERE id = ?", job_id)

    assert best(db, 9) == [due]
    assert db.one("due_up_to", {"queues": '["default", "more"]', "limit": 9}) == {"due": 1}


@pytest.mark.parametrize("queues", [["default", "default"], ["default", "more"]])
def test_several_are_looked_for_in_the_order_of_single_claims(
    db: Database, queues: list[str]
) -> None:
    rows = [(0, "2026-01-01", "a"), (1, "2026-01-03", "b"), (1, "2026-01-02", "d")]
    rows += [(1, "2026-01-02", "c"), (0, "2025-01-01", "e"), (0, "2025-01-01", "f")]
    for number, (priority, created_at, id_) in enumerate(rows):
        queue = queues[number % 2]
        stored(db, id=id_, priority=priority, created_at=created_at, queue=queue)

    for limit in range(1, 7):
        assert best(db, limit, *dict.fromkeys(queues)) == ["c", "d", "b", "e", "f", "a"][:limit]


def test_every_queue_with_a_due_job_is_found_and_no_other(db: Database) -> None:
    for queue in ("", "a", "a", "é", "b"):
        stored(db, queue=queue)
    stored(db, queue="later", retry_after="2999-01-01")
    sql(db, "UPDATE jobs SET status = 'running' WHERE queue = 'b'")

    assert [row["queue"] for row in db.all("queues_with_due_jobs")] == ["", "a", "é"]


@pytest.mark.parametrize(("name", "where"), CLAIMS[:2])
def test_a_queue_that_is_not_served_is_not_claimed_from(
    db: Database, name: str, where: dict[str, str]
) -> None:
    job_id = stored(db, queue="other")

    assert not changed(db, name, job_id, "mine", **where)
    assert settle_and_claim.claim(db, WORKER, "all") is not None


def test_a_job_is_promoted_at_its_time_and_not_before(db: Database) -> None:
    early, late = (stored(db, retry_after=f"2026-06-0{day}") for day in (1, 3))

    assert changed(db, "promote_delayed", early, None, now="2026-06-02")
    assert not changed(db, "promote_delayed", late, None, now="2026-06-02")
