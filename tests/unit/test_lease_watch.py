"""The supervisor's watch over the lease: when claims pause, and which jobs are ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gigq.model import lease
from gigq.model.cause import Cause
from gigqd.ipc.scoreboard import Activity, Cell, Report, Scoreboard
from gigqd.supervisor.lease_watch import LeaseWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = 12.0
BEGAN = 1000.0
NOW = 5.0


class Children:
    """Children that only note which of them are killed."""

    def __init__(self) -> None:
        self.slots: dict[str, str] = {}
        self._children: dict[str, Any] = {}
        self.killed: list[tuple[str, Cause]] = []

    def add(self, name: str, cell: Cell) -> None:
        self.slots[name] = name
        self._children[name] = SimpleNamespace(cell=cell)

    def child_in(self, slot: str) -> Any:
        return self._children.get(slot)

    def children(self) -> Iterator[Any]:
        return iter(self._children.values())

    def kill(self, slot: str, cause: Cause, _now: float) -> None:
        self.killed.append((slot, cause))


@pytest.fixture
def board() -> Scoreboard:
    return Scoreboard(3)


@pytest.fixture
def cell(board: Scoreboard) -> Cell:
    """The cell of a worker that runs a job, claimed under the first lease."""
    found = board.take()
    found.write_claim_lease(1)
    found.write(Report(Activity.BUSY, started=1))
    return found


@pytest.fixture
def children(cell: Cell) -> Children:
    found = Children()
    found.slots["empty"] = "empty"
    found.add("works", cell)
    return found


@pytest.fixture
def watch(board: Scoreboard, children: Children) -> LeaseWatch:
    return LeaseWatch(board, children, LENGTH)  # type: ignore[arg-type]


def let_it_be(monkeypatch: pytest.MonkeyPatch, left: float) -> None:
    """Set the clock so that this is left of a lease that began at `BEGAN`."""
    monkeypatch.setattr(lease, "boot_time", lambda: BEGAN + LENGTH - left)


@pytest.mark.parametrize(
    ("left", "is_over", "killed"),
    [(2.1, False, 0), (2.0, True, 0), (1.1, True, 0), (1.0, True, 1), (-50.0, True, 1)],
)
def test_claims_pause_in_the_last_sixth_and_jobs_end_in_the_last_twelfth(
    watch: LeaseWatch, cell: Cell, children: Children, monkeypatch, left, is_over, killed
) -> None:
    cell.write_lease(1, BEGAN + LENGTH)
    let_it_be(monkeypatch, left)

    watch.step(NOW)

    assert watch.is_over is is_over
    assert (watch.reason is not None) is is_over
    assert children.killed == [("works", Cause.LOST)] * killed


def test_before_the_first_lease_nothing_is_ended(watch: LeaseWatch, children: Children) -> None:
    watch.step(NOW)

    assert not watch.is_over
    assert not children.killed
    assert watch.next_step(NOW) == float("inf")


@pytest.mark.parametrize(("number", "killed"), [(1, 0), (2, 1)])
def test_a_job_of_an_earlier_lease_is_ended_under_a_new_one(
    watch: LeaseWatch, cell: Cell, children: Children, monkeypatch, number, killed
) -> None:
    cell.write_lease(number, BEGAN + LENGTH)
    let_it_be(monkeypatch, LENGTH)

    watch.step(NOW)

    assert len(children.killed) == killed


@pytest.mark.parametrize("activity", [Activity.BOOTING, Activity.IDLE, Activity.LEAVING])
def test_a_worker_without_a_job_is_not_ended(
    watch: LeaseWatch, cell: Cell, children: Children, monkeypatch, activity
) -> None:
    cell.write(Report(activity))
    cell.write_lease(1, BEGAN + LENGTH)
    let_it_be(monkeypatch, 0)

    watch.step(NOW)

    assert not children.killed


@pytest.mark.parametrize(
    ("left", "wait"),
    [(2.25, 0.25), (2.6, 0.5), (12.0, 0.5), (1.25, 0.25), (1.01, 0.05), (-50.0, 0.05)],
)
def test_the_next_step_is_due_at_the_next_limit_and_within_half_a_second(
    watch: LeaseWatch, cell: Cell, monkeypatch, left, wait
) -> None:
    cell.write_lease(1, BEGAN + LENGTH)
    let_it_be(monkeypatch, left)
    watch.step(NOW)

    assert watch.next_step(NOW) == pytest.approx(NOW + wait)


def test_a_new_lease_is_over_no_longer(watch: LeaseWatch, cell: Cell, monkeypatch) -> None:
    cell.write_lease(1, BEGAN)
    let_it_be(monkeypatch, LENGTH)
    watch.step(NOW)
    assert watch.is_over

    cell.write_lease(2, BEGAN + LENGTH)
    watch.step(NOW)

    assert not watch.is_over
