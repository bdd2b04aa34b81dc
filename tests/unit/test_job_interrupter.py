"""A job is asked to end by a signal: the one that is meant, while it runs, and no other."""

from __future__ import annotations

import os
import signal
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.claims import claim

from gigq.errors import JobCancelled, JobInterrupted, JobStopped, JobTimeout
from gigq.execution.timer_interrupt import LONGEST_RETRY_FUNCTION
from gigq.model.cause import Cause
from gigqd.ipc.scoreboard import Cell, Scoreboard
from gigqd.worker.interruption import JobInterrupter
from gigqd.worker.reporting import WorkerReports

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _keep_the_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, before)


@pytest.fixture
def cell() -> Cell:
    return Scoreboard(1).take()


GRACE = 2.0
CLAIM: Any = SimpleNamespace(execution_id="e1")


def asked_to_end(cell: Cell, *, current: int = 1) -> JobInterrupter:
    context: Any = SimpleNamespace(cell=cell)
    reports: Any = SimpleNamespace(started=current, interrupted=lambda: None)
    return JobInterrupter(context, reports, GRACE)


def interrupter_with_reports(board: Cell) -> tuple[JobInterrupter, WorkerReports]:
    """Return an interrupter with real reports, whose first job runs."""
    ours, theirs = socket.socketpair()
    theirs.close()
    wakeup_timer: Any = SimpleNamespace(start=lambda: True)
    context: Any = SimpleNamespace(cell=board, json_socket=ours, wakeup_timer=wakeup_timer)
    reports = WorkerReports(context)
    reports.busy(claim(), time.monotonic(), 0.0, (None, 0))
    return JobInterrupter(context, reports, GRACE), reports


def send() -> None:
    os.kill(os.getpid(), signal.SIGUSR2)


def test_the_job_that_is_meant_is_interrupted(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    cell.order_interrupt(1, Cause.TIMEOUT)

    with pytest.raises(JobTimeout) as raised, to_interrupt.armed(CLAIM):
        send()

    assert to_interrupt.interrupted
    assert raised.value.execution_id == "e1"


@pytest.mark.parametrize(
    ("why", "raised"),
    [(Cause.TIMEOUT, JobTimeout), (Cause.CANCELLED, JobCancelled), (Cause.STOPPED, JobStopped)],
)
def test_the_job_is_told_why(cell: Cell, why: Cause, raised: type[JobInterrupted]) -> None:
    to_interrupt = asked_to_end(cell)
    cell.order_interrupt(1, why)

    with pytest.raises(raised), to_interrupt.armed(CLAIM):
        send()


def test_a_job_that_has_started_since_is_left_alone(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell, current=2)
    cell.order_interrupt(1, Cause.TIMEOUT)

    with to_interrupt.armed(CLAIM):
        send()

    assert not to_interrupt.interrupted


def test_between_jobs_the_signal_does_nothing(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    with to_interrupt.armed(CLAIM):
        pass
    cell.order_interrupt(1, Cause.TIMEOUT)

    send()

    assert not to_interrupt.interrupted


def test_a_job_is_interrupted_once(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    interruptions = 0

    with to_interrupt.armed(CLAIM):
        cell.order_interrupt(1, Cause.TIMEOUT)
        for _ in range(3):
            try:
                send()
            except JobTimeout:
                interruptions += 1

    assert interruptions == 1


def test_the_supervisor_sees_on_the_scoreboard_that_the_exception_was_raised(cell: Cell) -> None:
    to_interrupt, reports = interrupter_with_reports(cell)
    before = cell.read().interrupted
    cell.order_interrupt(1, Cause.CANCELLED)
    with pytest.raises(JobCancelled), to_interrupt.armed(CLAIM):
        send()
    after = cell.read().interrupted
    reports.busy(claim(), time.monotonic(), 0.0, (None, 0))

    assert (before, after, cell.read().interrupted) == (False, True, False)
    reports.json_socket.close()


def test_what_interrupted_a_job_is_known_until_the_next_one_is_armed(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    cell.order_interrupt(1, Cause.STOPPED)
    began = time.monotonic()
    with pytest.raises(JobStopped), to_interrupt.armed(CLAIM):
        send()

    assert to_interrupt.interruption is not None
    assert to_interrupt.interruption.cause is Cause.STOPPED
    assert began <= to_interrupt.interruption.at <= time.monotonic()
    to_interrupt.armed(CLAIM)
    assert to_interrupt.interruption is None


def test_a_process_that_a_job_forks_does_not_answer_for_it(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    noted = noting(to_interrupt)
    with to_interrupt.armed(CLAIM):
        child = os.fork()
        if not child:
            cell.order_interrupt(1, Cause.TIMEOUT)
            cell.order_release(1)
            send()
            os._exit(len(noted))
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert ended == -signal.SIGUSR2


def test_a_signal_that_comes_before_the_function_begins_is_not_lost(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    cell.order_interrupt(1, Cause.TIMEOUT)
    send()
    reached = False

    with pytest.raises(JobTimeout), to_interrupt.armed(CLAIM):
        reached = True

    assert not reached
    assert to_interrupt.interrupted


def test_a_handler_that_a_job_has_set_does_not_outlive_it(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    with to_interrupt.armed(CLAIM):
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    with to_interrupt.armed(CLAIM):
        handler = signal.getsignal(signal.SIGUSR2)

    assert handler is not signal.SIG_IGN


def noting(to_interrupt: JobInterrupter) -> list[str]:
    noted: list[str] = []
    to_interrupt.release = lambda: noted.append("released")
    return noted


def test_a_worker_that_is_to_let_go_does_so_and_its_job_goes_on(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    noted = noting(to_interrupt)
    cell.order_release(1)

    with to_interrupt.armed(CLAIM):
        send()

    assert noted == ["released"]
    assert not to_interrupt.interrupted


@pytest.mark.parametrize("number", [0, 1, 3])
def test_what_is_held_besides_another_job_is_not_let_go_of(cell: Cell, number: int) -> None:
    to_interrupt = asked_to_end(cell, current=2)
    noted = noting(to_interrupt)
    cell.order_release(number)

    with to_interrupt.armed(CLAIM):
        send()

    assert noted == []


def test_between_jobs_nothing_is_released(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    noted = noting(to_interrupt)
    cell.order_release(1)
    send()

    assert noted == []


def test_a_signal_that_comes_while_the_others_are_released_waits_for_that(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    steps: list[str] = []

    def slowly() -> None:
        steps.append("begin")
        cell.order_interrupt(1, Cause.CANCELLED)
        send()
        steps.append("end")

    to_interrupt.release = slowly
    cell.order_release(1)
    with pytest.raises(JobCancelled), to_interrupt.armed(CLAIM):
        send()

    assert steps == ["begin", "end"]
    assert to_interrupt.interrupted


def test_code_after_the_job_is_interrupted_as_well(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    with to_interrupt.armed(CLAIM):
        pass
    cell.order_interrupt(1, Cause.TIMEOUT)

    with pytest.raises(JobTimeout), to_interrupt.armed_again():
        send()

    assert to_interrupt.interruption is not None


def test_an_interruption_is_not_repeated_in_code_after_the_job(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    cell.order_interrupt(1, Cause.TIMEOUT)
    with pytest.raises(JobTimeout), to_interrupt.armed(CLAIM):
        send()
    first = to_interrupt.interruption

    with to_interrupt.armed_again():
        send()

    assert to_interrupt.interruption is first


def test_code_after_an_interruption_has_less_than_the_grace(cell: Cell) -> None:
    to_interrupt = asked_to_end(cell)
    before = to_interrupt.time_left()
    cell.order_interrupt(1, Cause.TIMEOUT)
    with pytest.raises(JobTimeout), to_interrupt.armed(CLAIM):
        send()

    assert before == LONGEST_RETRY_FUNCTION
    assert 0 < to_interrupt.time_left() <= GRACE / 2
