"""How long an idle worker waits until it looks for work again, if nothing wakes it."""

import itertools
import time

import pytest

from gigq.store.postgres.notifications import DEBOUNCE
from gigqd.worker import idle_wait
from gigqd.worker.idle_wait import IdleWait


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def waits_of(self, wait: IdleWait, ran: int) -> list[float]:
        """The waits after so many jobs ran, up to the first long one."""
        waits = []
        for jobs in itertools.chain([ran], itertools.repeat(0)):
            waits.append(round(wait.longest(jobs), 3))
            if waits[-1] >= 1:
                return waits
            self.now += waits[-1]
        raise AssertionError("every wait is short")


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_on_a_server_a_worker_looks_several_times_soon_after_a_job(clock):
    wait = IdleWait(on_server=True)
    soon = [0.005, 0.005, 0.01, 0.02, 0.04, 0.08, 300.0]

    assert clock.waits_of(wait, 1) == soon
    assert clock.waits_of(wait, 0) == [300.0]
    assert clock.waits_of(wait, 7) == soon


def test_it_looks_as_long_as_there_may_be_no_notification():
    assert idle_wait.SOON == DEBOUNCE


def test_on_a_file_every_submit_wakes_a_worker(clock):
    assert clock.waits_of(IdleWait(on_server=False), 1) == [30.0]
