"""What one transaction decides while another one changes the same jobs.

SQLite has one writer at a time. On PostgreSQL these need locks of rows: the second transaction
begins before the first one commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql, stores
from support.ledger import (
    COMPLETED,
    FAILED_FOR_GOOD,
    STOPPED,
    WORKER,
    insert,
    job_row,
    over,
    ran,
    status_of,
    stored,
    taken,
)
from support.side_by_side import before

from gigq.model.claim import Claimant, ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import (
    jobs,
    prune,
    requeue,
    rows_of_other_programs,
    settle_and_claim,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.execution_result import ExecutionResult
    from gigq.store.database import Database
    from gigq.store.session import Session

pytestmark = pytest.mark.only("postgres")
ENDINGS = pytest.mark.parametrize(
    ("ending", "becomes"), [(COMPLETED, "pending"), (FAILED_FOR_GOOD, "failed")]
)


def settling(row: dict[str, Any], ending: ExecutionResult) -> Callable[[Database], Any]:
    return lambda db: settle_and_claim.settle(db, row["execution_id"], ending)


def claiming(most: int = 1, queues: tuple[str, ...] | None = None) -> Callable[[Database], Any]:
    """Claim; the ids of the jobs."""
    who = Claimant("other", "worker:2", queues)

    def ids(db: Database) -> list[str]:
        wanted = ClaimRequest(new_id(), most=most, fits=lambda _: True)
        return [
            row["id"] for row in settle_and_claim.exchange(db, SettleBatch(), who, wanted).claimed
        ]

    return ids


def waits(db: Database, job_id: str) -> bool:
    """Whether a job is held back by parents."""
    return (jobs.get(db, job_id) or {})["unmet"] > 0


@ENDINGS
def test_a_parent_that_ends_while_its_dependent_is_stored(
    db: Database, address: str, ending: ExecutionResult, becomes: str
) -> None:
    parent = stored(db)
    with before(db, address, settling(taken(db), ending)):
        child = stored(db, dependencies=[parent])

    assert status_of(db, child) == becomes
    assert not waits(db, child) or becomes == "failed"


def test_transactions_see_what_others_commit_whatever_the_server_has_as_default(
    db: Database, address: str
) -> None:
    parent = stored(db)
    strict = address.replace(
        "options=", "options=-cdefault_transaction_isolation%3Dserializable%20"
    )
    with before(db, strict, settling(taken(db), FAILED_FOR_GOOD)):
        child = stored(db, dependencies=[parent])

    assert status_of(db, child) == "failed"


@ENDINGS
def test_a_dependent_that_is_stored_while_its_parent_ends(
    db: Database, address: str, ending: ExecutionResult, becomes: str
) -> None:
    parent = stored(db)
    row = taken(db)
    with before(db, address, lambda other: stored(other, dependencies=[parent])) as second:
        settle_and_claim.settle(db, row["execution_id"], ending)

    assert status_of(db, second.found) == becomes
    assert not waits(db, second.found)


@pytest.mark.parametrize(
    ("endings", "becomes"),
    [((COMPLETED, COMPLETED), "pending"), ((COMPLETED, FAILED_FOR_GOOD), "failed")],
)
@pytest.mark.parametrize("policy", ["fail", "run"])
def test_two_parents_of_one_dependent_that_end_at_the_same_time(
    db: Database,
    address: str,
    policy: str,
    endings: tuple[ExecutionResult, ExecutionResult],
    becomes: str,
) -> None:
    child = stored(db, dependencies=insert(db, [job_row(), job_row()]), on_parent_failure=policy)
    first, second = taken(db), taken(db)
    with before(db, address, settling(second, endings[1])):
        settle_and_claim.settle(db, first["execution_id"], endings[0])

    assert status_of(db, child) == (becomes if policy == "fail" else "pending")
    assert status_of(db, child) == "failed" or taken(db)["id"] == child


@ENDINGS
def test_a_parent_that_ends_while_its_dependent_is_requeued(
    db: Database, address: str, ending: ExecutionResult, becomes: str
) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    jobs.cancel(db, [child])
    raw_sql.run(db, "DELETE FROM job_dependencies")
    with before(db, address, settling(taken(db), ending)):
        assert requeue.requeue(db, [child]).jobs == (child,)

    assert status_of(db, child) == becomes
    assert not waits(db, child) or becomes == "failed"


def test_a_dependent_that_two_programs_store_is_stored_once(db: Database, address: str) -> None:
    parent, other = stored(db), stored(db)
    child = job_row(dependencies=[parent])
    with before(db, address, lambda second: insert(second, [{**child, "dependencies": [other]}])):
        insert(db, [child])

    assert [row["id"] for row in jobs.awaited_parents(db, child["id"])] == [parent]


def test_a_dependent_that_is_stored_while_its_parent_is_requeued(
    db: Database, address: str
) -> None:
    parent = stored(db)
    ran(db, FAILED_FOR_GOOD)
    with before(db, address, lambda other: stored(other, dependencies=[parent])) as second:
        requeue.requeue(db, [parent])

    assert status_of(db, second.found) == "pending"
    assert ran(db).job_id == parent
    assert taken(db)["id"] == second.found


def test_a_dependent_that_is_requeued_while_its_parent_is(db: Database, address: str) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    ran(db, FAILED_FOR_GOOD)
    with before(db, address, lambda other: requeue.requeue(other, [child]).jobs) as second:
        requeue.requeue(db, [parent])

    assert second.found == (child,)
    assert ran(db).job_id == parent
    assert taken(db)["id"] == child


@pytest.mark.parametrize("queues", [("a", "b"), None, ("*", "!c")])
@pytest.mark.parametrize("most", [1, 4])
def test_a_claim_locks_no_job_that_it_does_not_take(
    db: Database, address: str, queues: tuple[str, ...] | None, most: int
) -> None:
    ids = [stored(db, queue=queue, max_attempts=9) for queue in "ab" for _ in range(most)]
    with before(db, address, claiming(most, queues)) as second:
        first = claiming(most, queues)(db)

    assert not second.has_waited
    assert sorted([*first, *second.found]) == sorted(ids)


def insert_a_row_of_another_program(session: Session, job_id: str, parent: str) -> None:
    raw_sql.execute(
        session,
        "INSERT INTO jobs (id, name, function_module, function_name, created_at, updated_at, "
        "priority, dependencies) VALUES (?, 'odd', 'app', 'work', '2026', '2026', 9, ?)",
        (job_id, f'["{parent}"]'),
    )


def test_a_row_of_another_program_that_a_worker_links_is_left_to_it(
    db: Database, address: str
) -> None:
    parent, other = stored(db), stored(db)
    with db.transaction(durable=False) as session:
        insert_a_row_of_another_program(session, "child", parent)
    with before(db, address, claiming()) as second, db.transaction(durable=False) as session:
        rows_of_other_programs.link(session)
        assert claiming()(db) == [parent]

    assert not second.has_waited
    assert second.found == [other]
    assert waits(db, "child")


def test_a_row_that_another_program_stores_after_the_link_of_a_claim_waits_for_its_parents(
    db: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = stored(db)
    link = rows_of_other_programs.link

    def link_and_store(session: Session) -> None:
        link(session)
        monkeypatch.undo()
        with before(other, address, lambda _: None), other.transaction(durable=False) as late:
            insert_a_row_of_another_program(late, "child", parent)

    other = stores.database_at(f"{address}&application_name=program")
    monkeypatch.setattr(rows_of_other_programs, "link", link_and_store)

    assert claiming()(db) == [parent]
    assert claiming()(db) == []


@ENDINGS
def test_a_parent_that_ends_while_a_row_of_another_program_is_linked(
    db: Database, address: str, ending: ExecutionResult, becomes: str
) -> None:
    parent = stored(db)
    row = taken(db)
    with db.transaction(durable=False) as session:
        insert_a_row_of_another_program(session, "child", parent)
    with before(db, address, settling(row, ending)), db.transaction(durable=False) as session:
        rows_of_other_programs.link(session)

    assert status_of(db, "child") == becomes
    assert not waits(db, "child") or becomes == "failed"


def pruned(db: Database) -> dict[str, int]:
    return prune.prune(db, {"completed": prune.Keep(most=0), "failed": prune.Keep(most=0)})


@pytest.mark.parametrize("later", [0, 1])
def test_a_parent_is_not_pruned_while_its_dependent_is_stored(
    db: Database, address: str, later: int
) -> None:
    parent = stored(db)
    ran(db)

    def store_others_and_prune(other: Database) -> dict[str, int]:
        insert(other, [job_row() for _ in range(later)])
        return pruned(other)

    with before(db, address, store_others_and_prune) as second:
        stored(db, dependencies=[parent])

    assert second.found == {"completed": 0, "failed": 0}
    assert status_of(db, parent) == "completed"


def test_a_job_that_is_requeued_is_not_pruned(db: Database, address: str) -> None:
    job_id = stored(db)
    ran(db, FAILED_FOR_GOOD)
    with before(db, address, pruned) as second:
        requeue.requeue(db, [job_id])

    assert second.found == {"completed": 0, "failed": 0}
    assert status_of(db, job_id) == "pending"


def test_a_job_that_ends_while_jobs_are_pruned_is_counted_once(db: Database, address: str) -> None:
    done, running = stored(db), stored(db)
    ran(db)
    row = taken(db)
    with before(db, address, pruned) as second:
        settle_and_claim.settle(db, row["execution_id"], COMPLETED)

    assert second.found == {"completed": 1, "failed": 0}
    assert jobs.get(db, done) is None
    assert status_of(db, running) == "completed"


def test_batches_that_settle_the_same_jobs_in_other_orders_wait_for_each_other(
    db: Database, address: str
) -> None:
    insert(db, [job_row(max_attempts=9) for _ in range(4)])
    claimed = settle_and_claim.exchange(
        db, SettleBatch(), WORKER, ClaimRequest(new_id(), most=4, fits=lambda _: True)
    ).claimed

    def settle_backwards(other: Database) -> list[Any]:
        batch = SettleBatch(tuple(over(row, STOPPED) for row in reversed(claimed)))
        return settle_and_claim.exchange(other, batch, None, None).settled

    with before(db, address, settle_backwards) as second:
        batch = SettleBatch(tuple(map(over, claimed)))
        first = settle_and_claim.exchange(db, batch, None, None).settled

    assert None not in first
    assert second.found == [None] * 4
