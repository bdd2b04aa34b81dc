"""Several jobs claimed at once, settled together, and released: as if each had come alone."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql, stores
from support.ledger import (
    COMPLETED,
    FAILED,
    FAILED_FOR_GOOD,
    STOPPED,
    TIMED_OUT,
    WORKER,
    insert,
    job_row,
    over,
    request_cancel,
    status_of,
    stored,
    taken,
)
from support.set_clock import set_clock

from gigq.errors import StoreError, StoreLocked
from gigq.model import clock
from gigq.model.claim import Claim, Claimant, ClaimRequest, Finished, SettleBatch, Settled
from gigq.model.execution_result import ExecutionResult, PostMortem
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.database import Database
from gigq.store.postgres.transactions import PostgresSession
from gigq.store.sqlite.transactions import SqliteSession
from gigq.store.verbs import jobs, listing, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gigq.store.database import Row, Session

    Fits = Callable[[Mapping[str, Any]], bool]

NOTHING = SettleBatch()


def swap(
    db: Database, handover: SettleBatch = NOTHING, who: Claimant = WORKER, **wanted: Any
) -> tuple[list[Settled | None], list[Row]]:
    """Release claims and take up to eight more."""
    wish = ClaimRequest(new_id(), **{"most": 8, **wanted})
    settled, rows, _ = settle_and_claim.exchange(db, handover, who, wish)
    return settled, rows


def take(db: Database, who: Claimant = WORKER, **wanted: Any) -> list[Row]:
    return swap(db, NOTHING, who, **wanted)[1]


def settle(db: Database, *done: Finished) -> list[Settled | None]:
    return settle_and_claim.exchange(db, SettleBatch(done), None, None)[0]


def hand_back(db: Database, *rows: Row) -> list[Settled | None]:
    unbegun = tuple(Claim.from_row(row) for row in rows)
    return settle_and_claim.exchange(db, SettleBatch((), unbegun), None, None)[0]


def sql(db: Database, statement: str, *values: Any) -> list[Any]:
    with db.transaction(durable=False) as session:
        return raw_sql.execute(session, statement, values)


def content(db: Database) -> list[Any]:
    """All rows of all tables."""
    columns = ", ".join(job_columns(db))
    tables = (("jobs", columns), ("job_executions", "*"), ("job_dependencies", "*"))
    return [sql(db, f"SELECT {columns} FROM {table} ORDER BY 1, 2") for table, columns in tables]


def names(rows: list[Row]) -> list[str]:
    return [row["name"] for row in rows]


# Claiming.


def test_several_are_claimed_as_each_would_be_alone(db: Database) -> None:
    ids = insert(db, [job_row(params='{"a": 1}') for _ in range(3)])
    rows = settle_and_claim.exchange(db, NOTHING, WORKER, ClaimRequest("first", most=8))[1]
    executions = [jobs.executions(db, id_)[0] for id_ in ids]

    assert [row["id"] for row in rows] == ids
    for row, execution in zip(rows, executions, strict=True):
        stored_row = jobs.get(db, row["id"])
        assert stored_row is not None
        assert {key: stored_row[key] for key in row.keys() & stored_row} == {
            key: row[key] for key in row.keys() & stored_row
        }
        assert Claim.from_row(row) == Claim.from_row(stored_row)
        assert (row["status"], row["attempts"], row["worker_id"]) == ("running", 1, "worker-1")
        assert execution["id"] == row["execution_id"]
        assert (execution["status"], execution["attempt"]) == ("running", 1)
        assert (execution["run"], execution["started_at"]) == (WORKER.run, row["started_at"])


def test_the_executions_of_several_have_ids_in_their_order_from_the_one_that_was_chosen(
    db: Database,
) -> None:
    insert(db, [job_row() for _ in range(8)])
    first_id = new_id()
    rows = settle_and_claim.exchange(db, NOTHING, WORKER, ClaimRequest(first_id, most=8))[1]
    tokens = [row["execution_id"] for row in rows]

    assert tokens[0] == first_id
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("queues", [None, ("b",), ("b", "a"), ("c", "a", "a", "b", "none")])
@pytest.mark.parametrize("most", [2, 3, 8])
def test_the_order_of_several_is_that_of_single_claims(
    db: Database, queues: tuple[str, ...] | None, most: int
) -> None:
    who = Claimant("w", "worker:1", queues)
    for number in range(24):
        stored(db, queue="abc"[number % 3], priority=number * 7 % 4, max_attempts=9)
    later = stored(db, queue="a", priority=9, retry_after=clock.after(clock.utc_now(), 3600))
    one_by_one = []
    while (row := settle_and_claim.claim(db, who, new_id())) is not None:
        one_by_one.append(row["id"])
    sql(db, "DELETE FROM job_executions")
    sql(db, "UPDATE jobs SET status = 'pending', attempts = 0, execution_id = NULL")
    several = []
    while rows := take(db, who, most=most):
        several += [row["id"] for row in rows]

    assert several == one_by_one
    assert later not in several


def test_delayed_jobs_whose_time_has_come_are_among_them(db: Database) -> None:
    past = clock.after(clock.utc_now(), -1)
    insert(db, [job_row("plain"), job_row("urgent", priority=1, retry_after=past)])

    assert names(take(db)) == ["urgent", "plain"]


@pytest.mark.parametrize("queues", [(), ("none",), ("none", "neither")])
def test_where_nothing_is_due_nothing_is_taken(db: Database, queues: tuple[str, ...]) -> None:
    stored(db), stored(db)

    assert take(db, Claimant("w", "worker:1", queues)) == []


def test_a_queue_that_is_named_twice_is_served_once(db: Database) -> None:
    insert(db, [job_row(queue="a") for _ in range(3)])
    rows = take(db, Claimant("w", "worker:1", ("a", "a")))

    assert len({row["id"] for row in rows}) == len(rows) == 3
    assert {row["attempts"] for row in listing.page(db)} == {1}


@pytest.mark.parametrize(
    ("due", "sharers", "most", "expected"),
    [
        (10, 1, 64, 10), (10, 2, 64, 5), (11, 2, 64, 6), (10, 3, 64, 4), (3, 4, 64, 1),
        (4, 4, 64, 1), (5, 4, 64, 2), (40, 2, 8, 8), (2, 1, 64, 2), (1, 1, 64, 1), (9, 1, 1, 1),
    ],
)  # fmt: skip
def test_nobody_takes_more_than_a_fair_share(
    db: Database, due: int, sharers: int, most: int, expected: int
) -> None:
    insert(db, [job_row(queue="ab"[number % 2]) for number in range(due)])

    assert len(take(db, sharers=sharers, most=most)) == expected


@pytest.mark.parametrize(("queues", "expected"), [(16, 256), (32, 128), (65, 1)])
def test_from_many_queues_fewer_are_taken_at_once(db: Database, queues: int, expected: int) -> None:
    insert(db, [job_row(queue=f"q{number % queues}") for number in range(300)])

    assert len(take(db, most=256)) == expected


def fits_all_but(*odd: str) -> Fits:
    return lambda row: row["name"] not in odd


def test_they_go_as_far_as_the_first_that_does_not_fit(db: Database) -> None:
    insert(db, [job_row(name) for name in "abcde"])

    assert names(take(db, fits=fits_all_but("c", "d"))) == ["a", "b"]
    assert names(take(db, fits=fits_all_but("c", "d"))) == ["c"]
    assert names(take(db, fits=fits_all_but("c", "d"))) == ["d"]
    assert names(take(db, fits=fits_all_but("c", "d"))) == ["e"]


def test_the_last_attempt_travels_alone(db: Database) -> None:
    insert(db, [job_row(name, max_attempts=3) for name in "abcd"])
    sql(db, "UPDATE jobs SET attempts = 2 WHERE name = 'c'")

    assert names(take(db)) == ["a", "b"]
    assert names(take(db)) == ["c"]
    assert names(take(db)) == ["d"]


def test_a_job_with_a_single_attempt_travels_alone_and_durably(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(db, [job_row("once", max_attempts=1), job_row("a"), job_row("b")])
    levels: list[bool] = []
    real = db.transaction
    monkeypatch.setattr(
        db, "transaction", lambda durable: levels.append(durable) or real(durable=durable)
    )

    assert names(take(db)) == ["once"]
    assert levels == [False, True]
    assert names(take(db)) == ["a", "b"]
    assert levels == [False, True, False]


def test_jobs_that_others_wait_for_travel_with_the_rest_and_release_them_together(
    db: Database,
) -> None:
    parents = [stored(db, name) for name in "abcd"]
    children = [stored(db, f"child of {n}", dependencies=[p]) for n, p in enumerate(parents)]
    stored(db, "child of two", dependencies=parents[1:3])
    rows = take(db)

    assert names(rows) == ["a", "b", "c", "d"]
    assert names(take(db)) == []

    done, more = swap(db, SettleBatch(tuple(map(over, rows))))

    assert [settled and settled.released for settled in done] == [1, 1, 2, 1]
    assert [row["id"] for row in more][:4] == children
    assert names(more)[4] == "child of two"


ODD = [
    *(("name", ""), ("queue", ""), ("created_at", ""), ("params", "{"), ("params", "7")),
    *((column, b"\xff") for column in ("name", "queue", "function_module", "params")),
    *((column, b"") for column in ("name", "queue", "function_module")),
    *(("created_at", b"\xff"), ("created_at", 7), ("queue", 7)),
    *(("function_module", ""), ("retry_policy", "soon"), ("on_parent_failure", "perhaps")),
]
NUMBERS = ("attempts", "max_attempts", "priority")
OTHER_TYPES = [(column, value) for column in NUMBERS for value in ("many", b"\xff")]
FRACTIONS = [("attempts", 1.5), ("max_attempts", 1.5), ("priority", 0.5)]


@pytest.mark.parametrize(("column", "value"), ODD)
def test_odd_values_of_foreign_sql_in_one_row_stop_none_of_the_others(
    db: Database, column: str, value: object
) -> None:
    _claim_all_beside(db, column, value)


@pytest.mark.only("sqlite")
@pytest.mark.parametrize(("column", "value"), [*OTHER_TYPES, *FRACTIONS])
def test_what_is_no_number_in_one_row_stops_none_of_the_others(
    db: Database, column: str, value: object
) -> None:
    _claim_all_beside(db, column, value)


@pytest.mark.only("postgres")
@pytest.mark.parametrize(("column", "value"), OTHER_TYPES)
def test_the_server_refuses_what_is_of_another_type(
    db: Database, column: str, value: object
) -> None:
    job_id = stored(db)
    with pytest.raises(StoreError, match=r"of type|invalid input syntax"):
        sql(db, f"UPDATE jobs SET {column} = ? WHERE id = ?", value, job_id)

    assert taken(db)["id"] == job_id


def _claim_all_beside(db: Database, column: str, value: object) -> None:
    """Claim five jobs, one of which has a value that foreign SQL wrote."""
    ids = insert(db, [job_row(max_attempts=5) for _ in range(5)])
    sql(db, f"UPDATE jobs SET {column} = ? WHERE id = ?", value, ids[2])
    claimed = []
    while rows := take(db):
        claimed += [row["id"] for row in rows]

    assert sorted(claimed) == sorted(ids)
    assert len(settle_and_claim.open_executions(db)) == 5


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("column", ["name", "params", "queue", "function_name", "description"])
def test_text_that_is_no_utf8_in_one_row_stops_none_of_the_others(
    db: Database, column: str
) -> None:
    ids = insert(db, [job_row(max_attempts=5) for _ in range(5)])
    sql(db, f"UPDATE jobs SET {column} = CAST(x'ff41' AS TEXT) WHERE id = ?", ids[2])
    claimed = []
    while rows := take(db):
        claimed += [row["id"] for row in rows]

    assert sorted(claimed) == sorted(ids)


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("name", ["x'ff'", "CAST(x'ff41' AS TEXT)"])
def test_a_queue_with_a_name_that_is_no_text_is_served_in_its_order(
    db: Database, name: str
) -> None:
    ids = insert(db, [job_row(max_attempts=5) for _ in range(4)])
    sql(db, f"UPDATE jobs SET queue = {name}, priority = 9 WHERE id = ?", ids[3])

    assert [row["id"] for row in take(db)] == [ids[3]]
    assert [row["id"] for row in take(db)] == ids[:3]


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("column", ["name", "queue"])
def test_what_was_handed_over_is_settled_once_when_a_row_to_be_claimed_is_unreadable(
    db: Database, column: str
) -> None:
    first = [*insert(db, [job_row(), job_row()])]
    rows = take(db)
    bad = stored(db, max_attempts=5)
    good = stored(db, max_attempts=5)
    sql(db, f"UPDATE jobs SET {column} = CAST(x'ff41' AS TEXT) WHERE id = ?", bad)
    done, more = swap(db, SettleBatch(tuple(map(over, rows))))
    more += take(db)

    assert [settled and settled.job_id for settled in done] == first
    assert sorted(row["id"] for row in more) == sorted([bad, good])


@pytest.mark.parametrize("which", [[0], [1], [2], [0, 2], [0, 1, 2]])
def test_an_execution_that_foreign_sql_left_open_is_superseded(
    db: Database, which: list[int]
) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    old = [row["execution_id"] for row in take(db)]
    sql(db, "DELETE FROM job_executions WHERE id IS NULL")
    hand_back(db, *(jobs.get(db, ids[n]) or {} for n in range(3) if n not in which))
    sql(db, "UPDATE jobs SET status = 'pending'")
    rows = take(db)
    tokens = [row["execution_id"] for row in rows]
    found = [jobs.executions(db, id_) for id_ in ids]

    assert [row["id"] for row in rows] == ids
    attempts = {row["id"]: row["attempts"] for row in rows}
    assert {id_: (jobs.get(db, id_) or {})["attempts"] for id_ in ids} == attempts
    assert {row["execution_id"] for row in settle_and_claim.open_executions(db)} == set(tokens)
    for number, executions in enumerate(found):
        closed = [e for e in executions if e["id"] == old[number]]
        assert [(e["status"], e["cause"]) for e in closed] == (
            [("failed", "lost")] if number in which else []
        )
    assert all(settle(db, *map(over, rows)))


@pytest.mark.only("postgres")
@pytest.mark.parametrize("status", ["running", "completed", "failed"])
def test_only_open_executions_of_a_claimed_batch_are_superseded(db: Database, status: str) -> None:
    stored(db), taken(db)
    sql(db, f"UPDATE job_executions SET status = '{status}'")
    sql(db, "UPDATE jobs SET execution_id = 'x'")
    with db.transaction(durable=False) as session:
        given = {"numbers": "{1}", "now": session.now}
        ended = session.run("supersede_others_of_claimed", given)

    assert ended == (status == "running")


# Settling.

ENDINGS = [COMPLETED, FAILED, FAILED_FOR_GOOD, TIMED_OUT, STOPPED]


def with_known(ending: ExecutionResult, number: int) -> ExecutionResult:
    known = PostMortem(output=f"said {number}", peak_rss=5, cpu_time=0.5, wall_time=1.5)
    return ExecutionResult(
        ending.status, ending.value, ending.error, ending.cause, ending.final, known
    )


def family(db: Database) -> list[str]:
    """Jobs, each with two dependents: one waits for it and the next one, the other for all."""
    ids = [f"parent{number}" for number in range(len(ENDINGS) * 2)]
    insert(db, [job_row(id=id_, created_at=f"2026-01-01T{id_}") for id_ in ids])
    pairs = pairwise(ids)
    made = "2026-02-01"
    more = [
        job_row(id=f"{a}+", dependencies=[a, b], created_at=made, on_parent_failure=policy)
        for (a, b), policy in zip(pairs, ["fail", "run", "wait"] * 9, strict=False)
    ]
    insert(db, [*more, job_row(id="of all", dependencies=ids, created_at=made)])
    return ids


@pytest.fixture
def other(backend: str, tmp_path: Path) -> Iterator[Database]:
    """Another empty store."""
    (tmp_path / "other").mkdir()
    with stores.address_of(backend, tmp_path / "other") as address:
        yield stores.begun_at(address)


def test_settling_together_does_what_settling_one_by_one_does(
    db: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, lambda: "2026-06-01T00:00:00.000000+00:00")
    for number, one in enumerate((db, other)):
        ids = family(one)
        tokens = iter(f"e{n}" for n in range(len(ids)))
        rows = [settle_and_claim.claim(one, WORKER, token) for token in tokens]
        done = [
            over(row, with_known(ENDINGS[n % len(ENDINGS)], n)) for n, row in enumerate(rows) if row
        ]
        if number:
            # Successes first: they are written together, before the others.
            done.sort(key=lambda o: o.result.status is not JobStatus.COMPLETED)
            alone = [settle_and_claim.settle(one, o.claim.execution_id, o.result) for o in done]
        else:
            together = settle(one, *done)

    assert sorted(map(str, together)) == sorted(map(str, alone))
    assert content(db) == content(other)


def test_what_is_told_stands_in_the_order_of_what_was_handed_over(db: Database) -> None:
    insert(db, [job_row() for _ in range(6)])
    rows = take(db)
    endings = [COMPLETED, FAILED, COMPLETED, FAILED_FOR_GOOD]
    done = tuple(over(row, ending) for row, ending in zip(rows[:4], endings, strict=True))
    unbegun = tuple(Claim.from_row(row) for row in rows[4:])
    settled = settle_and_claim.exchange(db, SettleBatch(done, unbegun), None, None)[0]

    assert [one and one.job_id for one in settled] == [row["id"] for row in rows]
    assert [one and one.job_status.value for one in settled] == [
        "completed", "pending", "completed", "failed", "pending", "pending",
    ]  # fmt: skip
    assert [one and one.attempt for one in settled] == [1, 1, 1, 1, 0, 0]


def test_many_dependents_released_by_several_commit_with_them(db: Database) -> None:
    parents = insert(db, [job_row() for _ in range(3)])
    children = [stored(db, dependencies=parents) for _ in range(4)]
    rows = take(db)

    assert [row["id"] for row in rows] == parents

    done, more = swap(db, SettleBatch(tuple(map(over, rows))))

    assert [settled and settled.released for settled in done] == [0, 0, 4]
    assert sorted(row["id"] for row in more) == sorted(children)


COUNTS_OF_DUE_JOBS = {"sqlite": "due_up_to", "postgres": "due_in_every_queue"}


class StumbleError(Exception):
    """Something breaks."""


@pytest.mark.parametrize(
    "verb",
    [
        *("complete_execution", "complete_job_of_execution", "awaited_among", "settle_execution"),
        *("release_dependents", "end_attempt", "delete_unstarted_execution", "release_job"),
        *("promote_delayed", "best_due", "claim_rows", "open_executions_of_rows", "expire_jobs"),
        "due",
    ],
)
def test_whatever_breaks_in_the_middle_all_of_it_is_undone(
    db: Database, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    parents = insert(db, [job_row() for _ in range(5)])
    stored(db, dependencies=parents[:2])
    rows = take(db)
    past = clock.after(clock.utc_now(), -1)
    insert(db, [job_row(max_attempts=9, retry_after=past) for _ in range(3)])
    stored(db, expires_at=past)
    before = content(db)
    done = (over(rows[0]), over(rows[1]), over(rows[2], FAILED))
    handover = SettleBatch(done, tuple(map(Claim.from_row, rows[3:])))
    broken = {"on": True}
    stumbling(monkeypatch, COUNTS_OF_DUE_JOBS[db.dialect] if verb == "due" else verb, broken)
    with pytest.raises(StumbleError):
        swap(db, handover)
    after = content(db)
    broken["on"] = False
    settled, more = swap(db, handover)

    assert after == before
    assert [one and one.job_status.value for one in settled] == [
        "completed", "completed", "pending", "pending", "pending",
    ]  # fmt: skip
    assert len(more) == 7


TOGETHER_ON_POSTGRES = {
    "complete": {"complete_execution", "complete_job_of_execution"},
    "release": {"delete_unstarted_execution", "release_job"},
    "best_due": {"best_due"},
    "open_and_claim": {"open_executions_of_rows", "claim_rows"},
}


def stumbling(monkeypatch: pytest.MonkeyPatch, verb: str, broken: dict[str, bool]) -> None:
    """Have a statement raise after it has done its work."""
    for kind in (SqliteSession, PostgresSession):
        for method in ("all", "run", "many"):
            monkeypatch.setattr(kind, method, _stumbling(getattr(kind, method), verb, broken))
    for method, parts in TOGETHER_ON_POSTGRES.items():
        step = method if verb in parts else verb
        real = getattr(PostgresSession, method)
        monkeypatch.setattr(PostgresSession, method, _stumbling_step(real, step, broken))


def _stumbling_step(
    real: Callable[..., Any], verb: str, broken: dict[str, bool]
) -> Callable[..., Any]:
    def after(session: Session, *params: Any) -> Any:
        found = real(session, *params)
        if broken["on"] and real.__name__ == verb:
            raise StumbleError
        return found

    return after


def _stumbling(real: Callable[..., Any], verb: str, broken: dict[str, bool]) -> Callable[..., Any]:
    def after(session: Session, name: str, *params: Any) -> Any:
        found = real(session, name, *params)
        if broken["on"] and name == verb:
            raise StumbleError
        return found

    return after


def superseded(db: Database, row: Row) -> None:
    settle_and_claim.settle(db, row["execution_id"], FAILED)


def snatched(db: Database, row: Row) -> None:
    sql(db, "UPDATE jobs SET status = 'pending' WHERE id = ?", row["id"])


def finished_by_foreign_sql(db: Database, row: Row) -> None:
    sql(db, "UPDATE jobs SET status = 'completed' WHERE id = ?", row["id"])


def deleted(db: Database, row: Row) -> None:
    sql(db, "DELETE FROM jobs WHERE id = ?", row["id"])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET execution_id = 'other' WHERE execution_id = ?",
        "UPDATE job_executions SET status = 'failed' WHERE id = ?",
    ],
)
def test_a_job_that_foreign_sql_has_given_to_another_execution_keeps_its_status(
    db: Database, change: str
) -> None:
    insert(db, [job_row(max_attempts=9) for _ in range(3)])
    rows = take(db)
    sql(db, change, rows[1]["execution_id"])
    done, _ = swap(db, SettleBatch(tuple(map(over, rows))))

    assert [one is None for one in done] == [False, True, False]
    assert [(jobs.get(db, row["id"]) or {})["status"] for row in rows] == [
        "completed", "running", "completed",
    ]  # fmt: skip


TAKEN_AWAY = [superseded, snatched, finished_by_foreign_sql, deleted]


@pytest.mark.parametrize("ending", [COMPLETED, FAILED, STOPPED], ids=lambda e: e.status.value)
@pytest.mark.parametrize("taken_away", TAKEN_AWAY)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_that_was_taken_away_keeps_none_of_the_others_from_being_settled(
    db: Database, which: int, taken_away: Callable[[Database, Row], None], ending: ExecutionResult
) -> None:
    parents = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    children = [
        stored(db, dependencies=[p, parents[which]]) for p in parents if p != parents[which]
    ]
    rows = take(db)
    taken_away(db, rows[which])
    before = jobs.get(db, parents[which])
    endings = [ending if n == which else COMPLETED for n in range(3)]
    done = settle(db, *(over(row, e) for row, e in zip(rows, endings, strict=True)))

    assert [settled is None for settled in done] == [n == which for n in range(3)]
    assert jobs.get(db, parents[which]) == before
    assert [status_of(db, p) for p in parents if p != parents[which]] == ["completed"] * 2
    for child in children:
        left = sql(db, "SELECT parent_id FROM job_dependencies WHERE job_id = ?", child)
        assert left == [(parents[which],)]
    assert settle_and_claim.open_executions(db) == []


@pytest.mark.only("sqlite")
def test_one_whose_database_stays_locked_changes_nothing_and_all_can_be_settled_later(
    db: Database, address: str
) -> None:
    insert(db, [job_row() for _ in range(3)])
    rows = take(db)
    db.lock_timeout = 0.05
    holder = sqlite3.connect(address, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked):
        settle(db, *map(over, rows))
    holder.execute("COMMIT")
    holder.close()

    assert len(settle_and_claim.open_executions(db)) == 3
    assert all(settle(db, *map(over, rows)))
    assert jobs.counts(db) == {"completed": 3}


def test_a_clock_that_was_put_back_ends_nothing_before_it_began(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = insert(db, [job_row() for _ in range(2)])
    rows = take(db)
    earlier = clock.after(clock.utc_now(), -3600)
    set_clock(monkeypatch, lambda: earlier)
    settle(db, *map(over, rows))
    found = [jobs.get(db, id_) or {} for id_ in ids]
    found += [jobs.executions(db, id_)[0] for id_ in ids]

    assert all(row["completed_at"] == row["started_at"] for row in found)


# Handing back.


def test_what_has_not_begun_is_handed_back_as_if_it_had_not_been_claimed(db: Database) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    before = content(db)
    done = hand_back(db, *take(db))
    strip = {"updated_at", "due_at", "due_why"}

    assert [one and one.job_status for one in done] == [JobStatus.PENDING] * 3
    assert sql(db, "SELECT * FROM job_executions") == []
    columns = [name for name in job_columns(db) if name not in strip]
    picked = ", ".join(columns)
    after = sql(db, f"SELECT {picked} FROM jobs ORDER BY id")
    index = [number for number, name in enumerate(job_columns(db)) if name not in strip]
    assert sorted(after) == sorted(tuple(row[n] for n in index) for row in before[0])
    assert [row["id"] for row in take(db)] == ids


def job_columns(db: Database) -> list[str]:
    return [row["name"] for row in db.all("columns_of_jobs") if row["name"] != "rowid"]


def test_a_retry_that_is_handed_back_keeps_what_its_earlier_attempts_left(db: Database) -> None:
    job_id = stored(db, max_attempts=5)
    settle_and_claim.settle(db, taken(db)["execution_id"], FAILED)
    before = jobs.get(db, job_id) or {}
    stored(db, max_attempts=5)
    settled, other = hand_back(db, *take(db))
    after = jobs.get(db, job_id) or {}

    assert settled is not None
    assert other is not None
    assert (settled.attempt, settled.max_attempts) == (1, 5)
    assert (other.attempt, other.max_attempts) == (0, 5)
    assert (after["attempts"], after["error"], after["refunds"]) == (1, before["error"], 0)
    assert after["started_at"] is not None
    assert [e["attempt"] for e in jobs.executions(db, job_id)] == [1]


def test_handing_back_is_not_counted_however_often(db: Database) -> None:
    insert(db, [job_row(max_attempts=2) for _ in range(2)])
    for _ in range(30):
        rows = take(db)
        assert [row["attempts"] for row in rows] == [1] * len(rows)
        hand_back(db, *rows)

    assert {(row["attempts"], row["refunds"]) for row in listing.page(db)} == {(0, 0)}


def test_a_job_whose_cancel_was_requested_is_cancelled_instead(db: Database) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    child = stored(db, dependencies=ids)
    rows = take(db)
    request_cancel(db, ids[1])
    done = hand_back(db, *rows)

    assert [one and one.job_status.value for one in done] == ["pending", "cancelled", "pending"]
    assert [status_of(db, id_) for id_ in ids] == ["pending", "cancelled", "pending"]
    assert done[1] is not None
    assert [one.job_id for one in done[1].failed_dependents] == [child]
    assert [e["status"] for e in jobs.executions(db, ids[1])] == ["cancelled"]


@pytest.mark.parametrize("taken_away", TAKEN_AWAY)
def test_a_claim_that_was_taken_away_is_not_handed_back(
    db: Database, taken_away: Callable[[Database, Row], None]
) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    rows = take(db)
    taken_away(db, rows[1])
    before = jobs.get(db, ids[1])
    done = hand_back(db, *rows)

    assert [one is None for one in done] == [False, True, False]
    assert jobs.get(db, ids[1]) == before
    assert settle_and_claim.open_executions(db) == []


def test_claims_of_a_dead_worker_are_released_in_one_transaction(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    rows = take(db)
    superseded(db, rows[1])
    begun, transaction = [], Database.transaction

    def counted(*args: Any, **options: Any) -> Any:
        begun.append(args)
        return transaction(*args, **options)

    monkeypatch.setattr(Database, "transaction", counted)
    done = settle_and_claim.release(db, [(row["execution_id"], row["id"]) for row in rows])

    assert [one and one.job_id for one in done] == [ids[0], None, ids[2]]
    assert {jobs.get(db, ids[0])["attempts"], jobs.get(db, ids[2])["attempts"]} == {0}
    assert len(begun) == 1


def test_what_is_handed_back_twice_is_handed_back_once(db: Database) -> None:
    job_id = stored(db, max_attempts=9)
    row = taken(db)
    again = taken_again(db, row)
    done = hand_back(db, row)

    assert done == [None]
    assert status_of(db, job_id) == "running"
    assert [e["execution_id"] for e in settle_and_claim.open_executions(db)] == [
        again["execution_id"]
    ]


def taken_again(db: Database, row: Row) -> Row:
    """HeldClaims a claim back and claim the same job anew."""
    assert settle_and_claim.release(db, [(row["execution_id"], row["id"])]) != [None]
    return taken(db)


def test_what_is_handed_back_may_be_claimed_in_the_same_transaction(db: Database) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    rows = take(db)
    urgent = stored(db, priority=9, max_attempts=9)
    unbegun = tuple(Claim.from_row(row) for row in rows[1:])
    done, more = swap(db, SettleBatch((over(rows[0]),), unbegun))

    assert [one and one.job_status.value for one in done] == ["completed", "pending", "pending"]
    assert [row["id"] for row in more] == [urgent, *ids[1:]]
    assert {row["attempts"] for row in more} == {1}


def test_what_was_taken_away_and_what_must_be_durable_may_meet_in_one_exchange(
    db: Database,
) -> None:
    ids = insert(db, [job_row(max_attempts=9) for _ in range(3)])
    rows = take(db)
    once = stored(db, "once", max_attempts=1, priority=9)
    superseded(db, rows[1])
    done, more = swap(db, SettleBatch(tuple(map(over, rows))))

    assert [settled and settled.job_id for settled in done] == [ids[0], None, ids[2]]
    assert [row["id"] for row in more] == [once]
    assert [row["attempts"] for row in more] == [1]
    assert len(jobs.executions(db, once)) == 1
