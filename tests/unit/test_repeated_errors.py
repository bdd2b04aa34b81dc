"""A worker that waits for its database logs each error once, and gives up only on a file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigq.errors import StoreLocked, StoreUnavailable
from gigqd.worker import repeated_errors
from gigqd.worker.repeated_errors import RepeatedErrors

if TYPE_CHECKING:
    import pytest

GONE = StoreUnavailable("the file is gone")
FULL = StoreUnavailable("the disk is full")


class Clock:
    """The monotonic clock, and what was logged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.logged: list[str] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(repeated_errors.log, "error", self._log)

    def _log(self, _event: str, *, error: str) -> None:
        self.logged.append(error)


def test_an_error_is_logged_when_it_is_new_and_then_once_a_minute(monkeypatch):
    clock, errors = Clock(monkeypatch), RepeatedErrors(patience=None)
    for error in (GONE, GONE, FULL, GONE, GONE):
        errors.note(error)

    assert clock.logged == ["the file is gone", "the disk is full", "the file is gone"]

    clock.now += 60
    errors.note(GONE)
    errors.note(GONE)
    assert len(clock.logged) == 4

    errors.end()
    errors.note(GONE)
    assert len(clock.logged) == 5


def test_errors_of_a_file_end_the_worker_when_they_last_too_long(monkeypatch):
    clock, errors = Clock(monkeypatch), RepeatedErrors(patience=10)
    assert not errors.note(GONE)
    clock.now += 11
    assert errors.note(FULL)

    errors.end()
    assert not errors.note(FULL)


def test_a_lock_and_a_server_are_waited_for(monkeypatch):
    clock = Clock(monkeypatch)
    locked, on_server = RepeatedErrors(patience=10), RepeatedErrors(patience=None)
    found = []
    for _ in range(3):
        found += [locked.note(StoreLocked("locked")), on_server.note(GONE)]
        clock.now += 11

    assert not any(found)
