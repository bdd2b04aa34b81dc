"""The scoreboard: what a worker writes in its process is what the supervisor reads in its own."""

import itertools
import mmap
import os
import signal
import threading

import pytest
from support.orphans import forked
from support.waiting import wait_until

from gigq.model.cause import Cause
from gigqd.ipc.scoreboard import Activity, Cell, Report, Scoreboard

REPORT = Report(
    Activity.BUSY,
    attempt=2,
    started=7,
    settled=6,
    since=12.5,
    deadline=42.25,
    execution="0198-execution",
    job_id="job-1",
    job_name="résumé",
)


def test_another_process_reads_what_a_worker_wrote() -> None:
    cell = Scoreboard(4).take()

    if (pid := os.fork()) == 0:
        cell.write(REPORT)
        os._exit(0)
    os.waitpid(pid, 0)

    assert cell.read() == REPORT


def test_a_worker_sees_its_orders() -> None:
    cell = Scoreboard(4).take()

    assert not cell.orders().leave
    cell.order_leave()
    cell.order_interrupt(7, Cause.CANCELLED)

    assert cell.orders().leave
    assert (cell.orders().to_interrupt, cell.orders().cause) == (7, Cause.CANCELLED)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_fits_beside_the_number_of_an_execution(cause: Cause) -> None:
    cell = Scoreboard(1).take()

    cell.order_interrupt(1 << 40, cause)

    assert (cell.to_interrupt, cell.orders().to_interrupt, cell.orders().cause) == (
        1 << 40,
        1 << 40,
        cause,
    )


def test_orders_and_reports_do_not_touch_each_other() -> None:
    cell = Scoreboard(4).take()
    cell.order_leave()

    cell.write(REPORT)

    assert cell.orders().leave
    assert cell.read() == REPORT


def test_cells_do_not_touch_each_other_and_come_back_clean() -> None:
    board = Scoreboard(2)
    first, second = board.take(), board.take()
    first.write(REPORT)

    assert second.read() == Report()
    board.release(first)
    assert board.take().read() == Report()


def test_texts_are_cut_to_what_a_cell_holds_without_breaking_a_character() -> None:
    cell = Scoreboard(1).take()

    cell.write(Report(Activity.BUSY, job_name="é" * 60, job_id="\udc80"))

    assert cell.read().job_name == "é" * 48
    assert cell.read().job_id == "?"


def test_a_reader_never_sees_half_a_report() -> None:
    cell = Scoreboard(1).take()
    done = threading.Event()

    def write_pairs() -> None:
        for number in range(20_000):
            cell.write(Report(Activity.BUSY, started=number, settled=number))
        done.set()

    writer = threading.Thread(target=write_pairs)
    writer.start()
    torn = 0
    while not done.is_set():
        report = cell.read()
        torn += report.started != report.settled
    writer.join()

    assert torn == 0


def test_a_report_that_is_overwritten_while_it_is_read_is_read_again(monkeypatch) -> None:
    cell = Scoreboard(1).take()
    worker = Cell(cell._memory, cell.index)
    worker.write(Report(Activity.BUSY, started=1))
    unpack, later = cell._unpack, [2, 3]

    def overtaken(at: int) -> Report:
        report = unpack(at)
        while later:
            worker.write(Report(Activity.BUSY, started=later.pop(0)))
        return report

    monkeypatch.setattr(cell, "_unpack", overtaken)

    assert cell.read().started == 3


def test_scribbled_memory_is_read_as_nothing_rather_than_as_an_error() -> None:
    cell = Scoreboard(1).take()

    cell.write(REPORT)

    cell._memory[1024 + 8 : 2048] = b"\xff" * 1016

    assert cell.read().activity is Activity.NOTHING


def test_of_a_worker_that_is_killed_while_it_writes_the_report_before_is_read() -> None:
    cell, written = Scoreboard(1).take(), mmap.mmap(-1, 8)

    def write_for_ever() -> None:
        for number in itertools.count(1):
            cell.write(Report(Activity.BUSY, started=number, latest=str(number)))
            written[:] = number.to_bytes(8)

    def number() -> int:
        return int.from_bytes(written[:])

    for _ in range(40):
        cell.clear()
        written[:] = bytes(8)
        pid = forked(write_for_ever)
        wait_until(lambda: number() > 100)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

        report = cell.read()

        assert report.started in (number(), number() + 1)
        assert report.latest == str(report.started)


def test_a_cell_that_is_lent_out_again_has_no_last_word() -> None:
    board = Scoreboard(1)
    cell = board.take()
    cell.write(REPORT)
    cell.read()

    cell.clear()

    assert cell.read() == Report()


def test_the_recorder_sees_what_every_child_said_and_nothing_of_those_that_are_gone() -> None:
    board = Scoreboard(4096)
    cells = [board.take() for _ in range(3)]
    for number, cell in enumerate(cells):
        cell.write(Report(Activity.BUSY, execution=f"e{number}"))
    board.release(cells[1])

    assert [report.execution for report in cells[0].all_reports()] == ["e0", "e2"]


def test_a_worker_sees_that_it_is_to_let_go_and_the_supervisor_what_it_holds() -> None:
    cell = Scoreboard(4).take()
    before = cell.release
    cell.order_release(7)
    cell.write(REPORT._replace(held=63, latest="0198-latest"))

    assert (before, cell.release, cell.orders().release) == (0, 7, 7)
    assert (cell.read().held, cell.read().latest) == (63, "0198-latest")


def test_an_outcome_that_is_being_written_down_has_no_deadline_and_the_rest_stays() -> None:
    cell = Scoreboard(4).take()
    cell.write(REPORT._replace(held=3, latest="0198-latest"))
    cell.write_settling(50.0)
    report = cell.read()

    assert (report.activity, report.since, report.deadline) == (Activity.SETTLING, 50.0, 0.0)
    busy = {"activity": REPORT.activity, "since": REPORT.since, "deadline": REPORT.deadline}
    assert report._replace(**busy) == REPORT._replace(held=3, latest="0198-latest")
