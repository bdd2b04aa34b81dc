"""A clock that a test sets, in place of the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gigq.model import clock

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
