"""A change of many jobs costs few statements, and each job ends as in a change of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ledger import stored, taken

from gigq.model.job_status import JobStatus
from gigq.store.verbs import jobs, requeue

if TYPE_CHECKING:
    from gigq.store.database import Database


@pytest.fixture
def statements(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that transactions run."""
    with db.read() as session:
        kind = type(session)
    names: list[str] = []
    for method in ("all", "run"):
        usual = getattr(kind, method)

        def noting(self, name, *params, usual=usual):  # type: ignore[no-untyped-def]
            names.append(name)
            return usual(self, name, *params)

        monkeypatch.setattr(kind, method, noting)
    return names


@pytest.mark.parametrize("running", [False, True])
def test_jobs_that_no_other_waits_for_are_cancelled_in_one_statement(
    db: Database, statements: list[str], running: bool
) -> None:
    many = [stored(db) for _ in range(100)]
    statements.clear()
    found = jobs.cancel(db, many, running=running)

    assert list(found) == many
    assert {one.status for one in found.values()} == {JobStatus.CANCELLED}
    assert len(statements) <= 3


def test_jobs_without_parents_are_requeued_in_one_statement(
    db: Database, statements: list[str]
) -> None:
    many = [stored(db) for _ in range(100)]
    jobs.cancel(db, many)
    statements.clear()
    found = requeue.requeue(db, many)

    assert list(found.jobs) == many
    assert list(found.due_in) == ["default"] * 100
    assert jobs.counts(db) == {"pending": 100}
    assert statements.count("requeue_jobs") == 1
    assert len(statements) < 20


@pytest.mark.parametrize("turned", [False, True], ids=["parent first", "child first"])
def test_a_dependent_after_its_parent_has_failed_before_its_turn(
    db: Database, turned: bool
) -> None:
    first, parent, last = stored(db), stored(db), stored(db)
    child = stored(db, dependencies=[parent])
    ids = [first, child, parent, last] if turned else [first, parent, child, last]
    found = jobs.cancel(db, ids)

    expected = ids if turned else [first, parent, last]
    assert list(found) == expected
    ended = {row["id"]: row["status"] for row in jobs.by_ids(db, ids)}
    assert ended == {one: "cancelled" if one in expected else "failed" for one in ids}
    failed = [one.job_id for one in found[parent].failed_dependents]
    assert failed == ([] if turned else [child])


def test_only_the_running_ones_among_many_get_a_request(db: Database) -> None:
    waits, done = stored(db), stored(db)
    runs = stored(db, priority=1)
    assert taken(db)["id"] == runs
    jobs.cancel(db, [done])
    found = jobs.cancel(db, [done, runs, waits, "missing"], running=True)

    assert {job_id: one.status for job_id, one in found.items()} == {
        runs: JobStatus.RUNNING,
        waits: JobStatus.CANCELLED,
    }
