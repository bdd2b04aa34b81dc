"""A clock that a test sets, in place of the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gigq.model import clock
from gigq.store.postgres import transactions
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq import JobQueue
    from gigq.store.session import Session

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Clock:
    """A clock that stands still until the test moves it forward."""

    def __init__(self) -> None:
        self.now = clock.to_text(NOW)

    def __call__(self) -> str:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now = clock.after(self.now, seconds)


def set_clock(monkeypatch: pytest.MonkeyPatch, now: Callable[[], str]) -> None:
    """Set the clock of this process, and that of its transactions on PostgreSQL."""
    session_of = transactions._session

    def at_that_time(connection: Any, *before: str) -> Session:
        session = session_of(connection, *before)
        session.now = now()
        return session

    class AtThatTime(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            return super().__getitem__(name).replace("gigq_now()", f"'{now()}'")

    monkeypatch.setattr(transactions, "statements", lambda of: AtThatTime(statements(of)))
    monkeypatch.setattr(
        transactions.PostgresSession, "read_time", lambda session: setattr(session, "now", now())
    )
    monkeypatch.setattr(transactions, "_session", at_that_time)
    monkeypatch.setattr(clock, "utc_now", now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of this process and of its transactions during a test."""
    now = Clock()
    set_clock(monkeypatch, now)
    return now


def wait_of(queue: JobQueue, job_id: str, now: str) -> float | None:
    """The seconds until a job is due; None when it is due now."""
    after = queue.get_status(job_id)["retry_after"]
    if after is None:
        return None
    return (clock.parse(after) - clock.parse(now)).total_seconds()
