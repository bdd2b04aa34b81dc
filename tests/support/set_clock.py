"""A clock that a test sets, in place of the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gigq.model import clock

if TYPE_CHECKING:
    from gigq import JobQueue

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Clock:
    """A clock that stands still until the test moves it forward."""

    def __init__(self) -> None:
        self.now = clock.to_text(NOW)

    def __call__(self) -> str:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now = clock.after(self.now, seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of this process during a test."""
    now = Clock()
    monkeypatch.setattr(clock, "utc_now", now)
    return now


def wait_of(queue: JobQueue, job_id: str, now: str) -> float | None:
    """The seconds until a job is due; None when it is due now."""
    after = queue.get_status(job_id)["retry_after"]
    if after is None:
        return None
    return (clock.parse(after) - clock.parse(now)).total_seconds()
