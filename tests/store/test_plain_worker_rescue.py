"""Which executions plain workers take back from each other, and which they leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ledger import status_of, stored, taken
from support.set_clock import set_clock

from gigq.execution import plain_worker_rescue
from gigq.model import clock
from gigq.model.claim import Claimant
from gigq.store.backend import backend_of

if TYPE_CHECKING:
    from gigq.store.backend import Backend
    from gigq.store.database import Database

LIVING, DEAD, DAEMON = "worker:living", "worker:dead", "gigqd:dead"
IN_MEMORY = "memory:1"


@pytest.fixture
def one_is_alive(address: str, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A backend that knows the process of one run only."""
    found = backend_of(address)
    monkeypatch.setattr(found, "is_alive", lambda run: run == LIVING)
    return found


def running(db: Database, run: str) -> str:
    """A job with a limit of 10 s that has just begun; its id."""
    stored(db, timeout=10)
    return str(taken(db, Claimant("w", run))["id"])


def test_what_a_dead_plain_worker_ran_is_lost(db: Database, one_is_alive: Backend) -> None:
    dead, living, daemon = (running(db, run) for run in (DEAD, LIVING, DAEMON))

    assert [done.job_id for done in plain_worker_rescue.lost(db, one_is_alive)] == [dead]
    assert (status_of(db, living), status_of(db, daemon)) == ("running", "running")


@pytest.mark.parametrize("run", [LIVING, IN_MEMORY])
@pytest.mark.parametrize(("seconds", "is_overdue"), [(9, False), (10.5, False), (12, True)])
def test_a_plain_workers_job_is_overdue_a_second_after_its_limit(
    db: Database, monkeypatch: pytest.MonkeyPatch, run: str, seconds: float, is_overdue: bool
) -> None:
    plain, daemon = running(db, run), running(db, DAEMON)
    later = clock.after(clock.utc_now(), seconds)
    set_clock(monkeypatch, lambda: later)

    assert [done.job_id for done in plain_worker_rescue.overdue(db)] == (
        [plain] if is_overdue else []
    )
    assert status_of(db, daemon) == "running"
