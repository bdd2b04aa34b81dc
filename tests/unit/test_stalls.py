"""The supervisor notices a stop of its own process wherever it happens."""

from __future__ import annotations

import selectors
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from gigqd.supervisor import loop
from gigqd.supervisor.loop import Supervisor

STOP = 8.0
NAP = 5.0


class Clock:
    """A clock that stands at a time and jumps on demand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def jump(self, seconds: float) -> int:
        self.now += seconds
        return 0


class Selector(selectors.SelectSelector):
    """Waits by the clock of the test, and a while longer."""

    def __init__(self, clock: Clock, late: float) -> None:
        super().__init__()
        self._clock = clock
        self._late = late

    def select(self, timeout=None):
        self._clock.jump((timeout or 0.0) + self._late)
        return []


def restarts_of_limits(
    monkeypatch, *, in_flush: float = 0.0, in_select: float = 0.0, due: float = NAP
) -> int:
    """How often all were excused in a sleep in which the process was stopped so long."""
    clock = Clock()
    times: list[float] = []
    monkeypatch.setattr(loop, "time", clock)
    # Only what a sleep needs: a whole supervisor takes locks and installs signal handlers.
    asleep = Supervisor.__new__(Supervisor)
    asleep.__dict__.update(
        _woke_at=clock.now,
        _stop=None,
        _open_files_limit=nullcontext(),
        _reloads=SimpleNamespace(at=float("inf")),
        _lease_watch=SimpleNamespace(next_step=lambda _now: float("inf")),
        _watchdog=None,
        _repairs=SimpleNamespace(at=clock.now + due),
        _status=SimpleNamespace(ready=True),
        _children=SimpleNamespace(
            next_step=lambda now: now + NAP, flush=lambda: 0, restart_limits=times.append
        ),
        _commands=SimpleNamespace(flush=lambda: clock.jump(in_flush)),
        _selector=Selector(clock, in_select),
    )
    asleep._sleep()
    return len(times)


@pytest.mark.parametrize("where", ["in_flush", "in_select"])
def test_a_stop_before_the_wait_or_in_it_is_noticed_once(monkeypatch, where):
    assert restarts_of_limits(monkeypatch, **{where: STOP}) == 1


@pytest.mark.parametrize("due", [NAP, 0.0, -50.0])
def test_a_sleep_without_a_stop_is_not_too_long_however_long_something_was_due(monkeypatch, due):
    assert restarts_of_limits(monkeypatch, due=due) == 0
