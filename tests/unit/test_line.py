"""What a worker says of a job on the scoreboard."""

from __future__ import annotations

import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gigqd.roles.line import Line
from gigqd.scoreboard import Activity, Cell, Scoreboard

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAIM: Any = SimpleNamespace(attempt=2, execution_id="e1", job_id="j1", name="send")


@pytest.fixture
def cell() -> Cell:
    return Scoreboard(1).take()


@pytest.fixture
def line(cell: Cell) -> Iterator[Line]:
    ours, theirs = socket.socketpair()
    birth: Any = SimpleNamespace(cell=cell, channel=theirs)
    with ours, theirs:
        yield Line(birth)


def test_a_job_is_shown_with_its_limits_and_what_was_used_before(cell: Cell, line: Line) -> None:
    line.busy(CLAIM, 100.0, 1.5, (30.0, 4096))
    report = cell.read()

    assert (report.activity, report.attempt, report.started) == (Activity.BUSY, 2, 1)
    assert (report.since, report.deadline, report.cpu) == (100.0, 130.0, 1.5)
    assert report.memory_limit == 4096
    assert (report.execution, report.job_id, report.job_name) == ("e1", "j1", "send")
    assert line.deadline == 130.0


def test_a_job_without_limits_has_none(cell: Cell, line: Line) -> None:
    line.busy(CLAIM, 100.0, 0.0, (None, 0))

    assert (cell.read().deadline, cell.read().memory_limit, line.deadline) == (0.0, 0, 0.0)


def test_jobs_are_counted_when_they_begin_and_when_they_are_settled(cell: Cell, line: Line) -> None:
    line.busy(CLAIM, 100.0, 0.0, (None, 0))
    line.settling()
    line.settled()
    line.idle()

    assert (cell.read().activity, cell.read().started, cell.read().settled) == (
        Activity.IDLE,
        1,
        1,
    )


def test_the_peak_that_was_seen_of_an_earlier_job_is_not_this_ones(cell: Cell, line: Line) -> None:
    line.busy(CLAIM, 100.0, 0.0, (None, 0))
    cell.note_peak(1, 5000)
    seen = line.peak()
    line.busy(CLAIM, 101.0, 0.0, (None, 0))

    assert (seen, line.peak()) == (5000, 0)


def test_the_execution_begun_last_is_known_until_the_next_one_begins(
    cell: Cell, line: Line
) -> None:
    before = cell.read().latest
    line.busy(CLAIM, 100.0, 0.0, (None, 0))
    during = cell.read().latest
    line.settling()
    line.idle()
    after = cell.read()
    line.busy(SimpleNamespace(**{**vars(CLAIM), "execution_id": "e2"}), 101.0, 0.0, (None, 0))

    assert (before, during, after.latest, cell.read().latest) == ("", "e1", "e1", "e2")
    assert (after.activity, after.execution) == (Activity.IDLE, "")


def test_what_a_worker_holds_besides_its_job_is_shown_until_it_has_let_go(
    cell: Cell, line: Line
) -> None:
    line.busy(CLAIM, 100.0, 0.0, (30.0, 4096), held=7)
    before = cell.read()
    line.holds_nothing_else()

    assert before.held == 7
    assert cell.read() == replace(before, held=0)
