"""Which executions the recorder settles, and which it leaves to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ledger import COMPLETED, insert, job_row, request_cancel, status_of, stored, taken

from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.claim import Claimant, ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store import migrate
from gigq.store.backend import FileBackend
from gigq.store.database import Database
from gigq.store.sqlite import connections
from gigq.store.sqlite.processes import run_locks
from gigq.store.verbs import jobs, listing, settle_and_claim
from gigqd.ipc.exit_record import ExitRecord
from gigqd.process.kill_tree import TreeKill
from gigqd.process.process_tag import home_of
from gigqd.recorder.dead_daemon_settlement import DeadDaemonSettlement
from gigqd.recorder.dead_worker_settlement import Settlement, outcome_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN, LIVING, DEAD = "daemon:own", "daemon:living", "daemon:dead"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "queue.db")


@pytest.fixture
def db(path: str) -> Iterator[Database]:
    database = Database(lambda: connections.open_connection(path))
    migrate.apply(database)
    yield database
    connections.close_connections()


@pytest.fixture
def settling(db: Database, path: str, monkeypatch: pytest.MonkeyPatch) -> Settlement:
    monkeypatch.setattr(run_locks, "is_alive", lambda _path, run: run == LIVING)
    return Settlement(db, FileBackend(path), OWN, lambda: None)


def running(db: Database, run: str, worker_id: str = "w1") -> str:
    """A job that a worker runs; its id."""
    stored(db)
    return str(taken(db, Claimant(worker_id, run))["id"])


def test_at_the_start_only_what_dead_runs_left_is_settled(
    db: Database, settling: Settlement
) -> None:
    own, living, dead = (running(db, run) for run in (OWN, LIVING, DEAD))

    assert settling.settle_runs(settling.dead_runs()) == 1
    assert [status_of(db, job_id) for job_id in (own, living, dead)] == [
        "running",
        "running",
        "pending",
    ]


def test_a_run_that_dies_after_its_processes_were_looked_for_waits_for_the_next_look(
    db: Database, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, dies = running(db, DEAD), running(db, LIVING)
    alive = {LIVING}
    monkeypatch.setattr(run_locks, "is_alive", lambda _path, run: run in alive)
    dead_runs = DeadDaemonSettlement(
        lambda _run: home_of(path),
        Settlement(db, FileBackend(path), OWN, lambda: None),
        lambda _message: None,
    )
    monkeypatch.setattr(TreeKill, "step", lambda _self: alive.clear() or True)

    assert dead_runs.settle_dead_runs() == 1
    assert [status_of(db, job_id) for job_id in (dead, dies)] == ["pending", "running"]
    assert dead_runs.settle_dead_runs() == 1
    assert status_of(db, dies) == "pending"


def test_a_run_whose_process_may_not_be_ended_keeps_no_other_run_waiting(
    db: Database, settling: Settlement, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfAnotherAccount(TreeKill):
        def step(self, _seconds: float = 0.0) -> bool:
            self.denied.add(4711)
            return False

    dead, guarded = running(db, DEAD), running(db, "daemon:guarded")
    reports: list[dict[str, object]] = []
    dead_runs = DeadDaemonSettlement(lambda _run: home_of(path), settling, reports.append)

    def treekill_of(run: str, _home: str) -> TreeKill:
        kind = TreeKill if run == DEAD else OfAnotherAccount
        return kind(None, lambda _mark: False)

    monkeypatch.setattr("gigqd.recorder.dead_daemon_settlement.tree_kill_of_run", treekill_of)
    dead_runs.settle_dead_runs(patience=5.0)

    assert (status_of(db, dead), status_of(db, guarded)) == ("pending", "running")
    assert reports == [{"still_works": [4711]}]


def test_an_exit_record_settles_what_that_worker_of_this_run_held_and_nothing_else(
    db: Database, settling: Settlement
) -> None:
    dead = running(db, OWN, "w1")
    others = [running(db, OWN, "w2"), running(db, LIVING, "w1"), running(db, DEAD, "w1")]
    settled = settling.dead_worker(
        ExitRecord(signal="SIGSEGV", cause=Cause.CRASHED, worker_id="w1")
    )

    assert [done.job_id for done in settled] == [dead]
    assert status_of(db, dead) == "pending"
    assert {status_of(db, job_id) for job_id in others} == {"running"}
    assert len(settle_and_claim.open_executions(db)) == 3


def test_an_exit_record_that_comes_twice_settles_once(db: Database, settling: Settlement) -> None:
    running(db, OWN)
    record = ExitRecord(signal="SIGSEGV", cause=Cause.CRASHED, worker_id="w1")

    assert len(settling.dead_worker(record)) == 1
    assert settling.dead_worker(record) == []


def test_strays_are_settled_only_when_no_worker_runs_them(
    db: Database, settling: Settlement
) -> None:
    idle, busy = running(db, OWN), running(db, OWN, "w2")
    tokens = {row["job_id"]: row["execution_id"] for row in settle_and_claim.open_executions(db)}

    assert settling.strays(set(tokens.values()), {tokens[busy]}) == 1
    assert (status_of(db, idle), status_of(db, busy)) == ("pending", "running")


def holding(db: Database, count: int, worker_id: str = "w1", **columns: object) -> list[str]:
    """Jobs that a worker of this run has claimed at once; the ids of their executions, in order."""
    insert(db, [job_row(**{"max_attempts": 5, **columns}) for _ in range(count)])
    wanted = ClaimRequest(new_id(), most=count)
    rows = settle_and_claim.exchange(db, SettleBatch(), Claimant(worker_id, OWN), wanted)[1]
    assert len(rows) == count
    return [row["execution_id"] for row in rows]


def crash(latest: str, *, running: bool = True) -> ExitRecord:
    return ExitRecord(
        signal="SIGSEGV", cause=Cause.CRASHED, worker_id="w1", latest=latest, running=running
    )


def left(db: Database) -> list[tuple[str, int, int, str | None]]:
    """Status, attempts and crashes of each job, and the cause of its last execution."""
    found = []
    for row in sorted(listing.page(db), key=lambda row: str(row["created_at"])):
        causes = [execution["cause"] for execution in jobs.executions(db, row["id"])]
        last = causes[-1] if causes else None
        found.append((row["status"], row["attempts"], row["crashes"], last))
    return found


OVER, CRASHED, UNBEGUN = ("pending", 1, 0, "lost"), ("pending", 1, 1, "crashed"), ("pending", 0, 0)


@pytest.mark.parametrize("begun_last", range(5))
def test_of_several_the_one_begun_last_crashed_those_before_run_again_and_those_after_are_free(
    db: Database, settling: Settlement, begun_last: int
) -> None:
    tokens = holding(db, 5)
    settled = settling.dead_worker(crash(tokens[begun_last]))

    assert left(db) == [
        *[OVER] * begun_last,
        CRASHED,
        *[(*UNBEGUN, None)] * (4 - begun_last),
    ]
    assert settled[0].execution_id == tokens[begun_last]
    assert sorted(done.execution_id for done in settled) == tokens
    assert settle_and_claim.open_executions(db) == []


def test_one_that_was_over_when_its_worker_died_is_not_said_to_have_crashed(
    db: Database, settling: Settlement
) -> None:
    tokens = holding(db, 3)
    settling.dead_worker(crash(tokens[1], running=False))
    errors = [
        row["error"] for row in sorted(listing.page(db), key=lambda row: str(row["created_at"]))
    ]

    assert left(db) == [OVER, OVER, (*UNBEGUN, None)]
    assert errors[0] == errors[1]
    assert errors[0].startswith("WorkerLost: the worker process was killed by SIGSEGV after")
    assert errors[2] is None


def test_a_worker_that_died_before_it_began_any_hands_all_back(
    db: Database, settling: Settlement
) -> None:
    holding(db, 3)
    settled = settling.dead_worker(crash("", running=False))

    assert left(db) == [(*UNBEGUN, None)] * 3
    assert [done.attempt for done in settled] == [0, 0, 0]


def test_what_was_claimed_after_the_one_begun_last_had_been_settled_is_handed_back(
    db: Database, settling: Settlement
) -> None:
    earlier = holding(db, 2)
    for token in earlier:
        settle_and_claim.settle(db, token, COMPLETED)
    holding(db, 3)
    settled = settling.dead_worker(crash(earlier[-1], running=False))

    assert [status for status, *_ in left(db)] == ["completed"] * 2 + ["pending"] * 3
    assert [attempts for _, attempts, *_ in left(db)] == [1, 1, 0, 0, 0]
    assert len(settled) == 3


def test_an_exit_record_on_one_that_is_settled_already_charges_nobody_else(
    db: Database, settling: Settlement
) -> None:
    tokens = holding(db, 3)
    settle_and_claim.settle(db, tokens[0], COMPLETED)
    record = crash(tokens[0])
    settled = settling.dead_worker(record)

    assert left(db) == [("completed", 1, 0, None), (*UNBEGUN, None), (*UNBEGUN, None)]
    assert outcome_text(settled, record) == {"cause": "crashed", "job_id": None}


def test_the_supervisor_learns_which_execution_the_exit_record_is_about(
    db: Database, settling: Settlement
) -> None:
    tokens = holding(db, 4)
    record = crash(tokens[2])
    said = outcome_text(settling.dead_worker(record), record)

    assert (said["execution"], said["status"], said["attempt"]) == (tokens[2], "pending", 1)


def test_one_that_was_cancelled_before_it_began_is_cancelled_when_its_worker_dies(
    db: Database, settling: Settlement
) -> None:
    tokens = holding(db, 3)
    cancelled = next(
        row["job_id"]
        for row in settle_and_claim.open_executions(db)
        if row["execution_id"] == tokens[2]
    )
    request_cancel(db, cancelled)
    settling.dead_worker(crash(tokens[0]))

    assert [status for status, *_ in left(db)] == ["pending", "pending", "cancelled"]


def test_an_exit_record_on_several_that_comes_twice_settles_each_once(
    db: Database, settling: Settlement
) -> None:
    record = crash(holding(db, 4)[1])
    settling.dead_worker(record)
    before = left(db)
    holding(db, 1, "w2", priority=9)

    assert settling.dead_worker(record) == []
    assert left(db) == [*before, ("running", 1, 0, None)]


@pytest.mark.parametrize(("age", "status"), [(61.5, "timeout"), (30.0, "running")])
def test_what_gigq_0_5_1_left_running_is_settled_once_it_is_past_its_timeout(
    db: Database, settling: Settlement, path: str, age: float, status: str
) -> None:
    left = str(stored(db, timeout=60, max_attempts=1))
    taken(db, Claimant("w1", OWN))
    began = clock.after(clock.utc_now(), -age)
    connection = connections.open_connection(path)
    connection.execute("UPDATE job_executions SET run = NULL, started_at = ?", [began])
    connection.execute("UPDATE jobs SET started_at = ?", [began])

    DeadDaemonSettlement(
        lambda _run: home_of(path), settling, lambda _message: None
    ).settle_dead_runs()

    assert status_of(db, left) == status
