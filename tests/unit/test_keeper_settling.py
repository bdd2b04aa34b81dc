"""Which executions the keeper settles, and which it leaves to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ledger import status_of, stored, taken

from gigq.claim import Claimant
from gigq.store import claims, connect, liveness, migrate
from gigq.store.database import Database
from gigqd.roles.keeper_settling import Settling
from gigqd.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN, LIVING, DEAD = "daemon:own", "daemon:living", "daemon:dead"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "queue.db")


@pytest.fixture
def db(path: str) -> Iterator[Database]:
    database = Database(lambda: connect.open_connection(path))
    migrate.apply(database)
    yield database
    connect.close_connections()


@pytest.fixture
def settling(db: Database, path: str, monkeypatch: pytest.MonkeyPatch) -> Settling:
    monkeypatch.setattr(liveness, "is_alive", lambda _path, run: run == LIVING)
    return Settling(db, path, OWN, lambda: None)


def running(db: Database, run: str, worker_id: str = "w1") -> str:
    """A job that a worker runs; its id."""
    stored(db)
    return str(taken(db, Claimant(worker_id, run))["id"])


def test_at_the_start_only_what_dead_runs_left_is_settled(db: Database, settling: Settling) -> None:
    own, living, dead = (running(db, run) for run in (OWN, LIVING, DEAD))

    assert settling.dead_runs() == 1
    assert [status_of(db, job_id) for job_id in (own, living, dead)] == [
        "running",
        "running",
        "pending",
    ]


def test_a_verdict_settles_what_that_worker_of_this_run_held_and_nothing_else(
    db: Database, settling: Settling
) -> None:
    dead = running(db, OWN, "w1")
    others = [running(db, OWN, "w2"), running(db, LIVING, "w1"), running(db, DEAD, "w1")]
    settled = settling.dead_worker(Verdict("w1", "crashed", "killed by SIGSEGV"))

    assert [done.job_id for done in settled] == [dead]
    assert status_of(db, dead) == "pending"
    assert {status_of(db, job_id) for job_id in others} == {"running"}
    assert len(claims.open_executions(db)) == 3


def test_a_verdict_that_comes_twice_settles_once(db: Database, settling: Settling) -> None:
    running(db, OWN)
    verdict = Verdict("w1", "crashed", "killed by SIGSEGV")

    assert len(settling.dead_worker(verdict)) == 1
    assert settling.dead_worker(verdict) == []


def test_strays_are_settled_only_when_no_worker_runs_them(db: Database, settling: Settling) -> None:
    idle, busy = running(db, OWN), running(db, OWN, "w2")
    tokens = {row["job_id"]: row["execution_id"] for row in claims.open_executions(db)}

    assert settling.strays(set(tokens.values()), {tokens[busy]}) == 1
    assert (status_of(db, idle), status_of(db, busy)) == ("pending", "running")
