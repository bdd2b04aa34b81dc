"""What a worker says of a job on the scoreboard."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import wait_until

from gigqd.ipc.scoreboard import Activity, Cell, Scoreboard
from gigqd.linux.wakeup_timer import WakeupTimer
from gigqd.worker.reporting import WorkerReports

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAIM: Any = SimpleNamespace(attempt=2, execution_id="e1", job_id="j1", name="send")


@pytest.fixture
def cell() -> Cell:
    return Scoreboard(1).take()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def wakeup_timer() -> Iterator[WakeupTimer]:
    wakeup_timer = WakeupTimer()
    yield wakeup_timer
    with suppress(OSError):
        os.close(wakeup_timer.fileno())


@pytest.fixture
def reports(
    cell: Cell, ends: tuple[socket.socket, socket.socket], wakeup_timer: WakeupTimer
) -> WorkerReports:
    context: Any = SimpleNamespace(cell=cell, json_socket=ends[1], wakeup_timer=wakeup_timer)
    return WorkerReports(context)


def readable(*descriptors: Any, within: float = 5.0) -> list[Any]:
    return select.select(descriptors, (), (), within)[0]


def test_a_job_is_shown_with_its_limits_and_what_was_used_before(
    cell: Cell, reports: WorkerReports
) -> None:
    reports.busy(CLAIM, 100.0, 1.5, (30.0, 4096))
    report = cell.read()

    assert (report.activity, report.attempt, report.started) == (Activity.BUSY, 2, 1)
    assert (report.since, report.deadline, report.cpu) == (100.0, 130.0, 1.5)
    assert report.memory_limit == 4096
    assert (report.execution, report.job_id, report.job_name) == ("e1", "j1", "send")
    assert reports.deadline == 130.0


def test_a_job_without_limits_has_none(cell: Cell, reports: WorkerReports) -> None:
    reports.busy(CLAIM, 100.0, 0.0, (None, 0))

    assert (cell.read().deadline, cell.read().memory_limit, reports.deadline) == (0.0, 0, 0.0)


def test_jobs_are_counted_when_they_begin_and_when_they_are_settled(
    cell: Cell, reports: WorkerReports
) -> None:
    reports.busy(CLAIM, 100.0, 0.0, (None, 0))
    reports.settling()
    reports.settled()
    reports.idle()

    assert (cell.read().activity, cell.read().started, cell.read().settled) == (
        Activity.IDLE,
        1,
        1,
    )


def test_the_peak_that_was_seen_of_an_earlier_job_is_not_this_ones(
    cell: Cell, reports: WorkerReports
) -> None:
    reports.busy(CLAIM, 100.0, 0.0, (None, 0))
    cell.note_peak(1, 5000)
    seen = reports.peak()
    reports.busy(CLAIM, 101.0, 0.0, (None, 0))

    assert (seen, reports.peak()) == (5000, 0)


def test_the_execution_begun_last_is_known_until_the_next_one_begins(
    cell: Cell, reports: WorkerReports
) -> None:
    before = cell.read().latest
    reports.busy(CLAIM, 100.0, 0.0, (None, 0))
    during = cell.read().latest
    reports.settling()
    reports.idle()
    after = cell.read()
    reports.busy(SimpleNamespace(**{**vars(CLAIM), "execution_id": "e2"}), 101.0, 0.0, (None, 0))

    assert (before, during, after.latest, cell.read().latest) == ("", "e1", "e1", "e2")
    assert (after.activity, after.execution) == (Activity.IDLE, "")


def test_what_a_worker_holds_besides_its_job_is_shown_until_it_has_let_go(
    cell: Cell, reports: WorkerReports
) -> None:
    reports.busy(CLAIM, 100.0, 0.0, (30.0, 4096), held=7)
    before = cell.read()
    reports.holds_nothing_else()

    assert before.held == 7
    assert cell.read() == before._replace(held=0)


def test_a_worker_that_has_booted_wakes_the_supervisor_at_once(
    ends, reports: WorkerReports
) -> None:
    reports.idle()

    assert readable(ends[0], within=0.0)


def test_a_job_of_an_idle_worker_wakes_the_supervisor_a_moment_later(
    ends, wakeup_timer: WakeupTimer, reports: WorkerReports
) -> None:
    reports.idle()
    ends[0].recv(1)
    reports.busy(CLAIM, 100.0, 0.0, (None, 0))

    assert readable(ends[0], wakeup_timer) == [wakeup_timer]
    wakeup_timer.clear()
    assert not readable(wakeup_timer, within=0.0)


def test_an_alarm_that_was_started_goes_off_however_often_it_is_started_again(
    wakeup_timer: WakeupTimer,
) -> None:
    def start_again() -> bool:
        wakeup_timer.start()
        return bool(readable(wakeup_timer, within=0.0))

    wait_until(start_again, 5)


def test_a_job_that_has_closed_the_alarm_does_not_keep_the_supervisor_asleep(
    ends, wakeup_timer: WakeupTimer, reports: WorkerReports
) -> None:
    reports.idle()
    ends[0].recv(1)
    os.close(wakeup_timer.fileno())
    reports.busy(CLAIM, 100.0, 0.0, (None, 0))

    assert readable(ends[0])
