"""How many lines of the log successful jobs get: some each second, and a sum of the others."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import pytest

from gigq import reports
from gigq.claim import Claim, Over, Settled
from gigq.functions import FunctionRef
from gigq.outcome import Ending
from gigq.reports import Reports
from gigq.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """The monotonic clock, moved by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(reports, "time", one)
    return one


@pytest.fixture
def infos(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.DEBUG, logger="gigq")

    def found() -> list[str]:
        shown = [record for record in caplog.records if record.levelno >= logging.INFO]
        caplog.clear()
        return [record.getMessage().partition(" job_id")[0] for record in shown]

    return found


def claim(number: int = 1) -> Claim:
    function = FunctionRef("mod", "function", None)
    job = (f"j{number}", f"e{number}", "job", function, {}, 1, 3)
    return Claim(*job, None, (), None, queue="default", worker_id="w")


def settle(
    written: Reports, seconds: float = 0.001, status: JobStatus = JobStatus.COMPLETED
) -> None:
    one = claim()
    done = Settled("j1", "e1", status, 1, 3)
    written.settled(Over(one, Ending(status), seconds), done)


def test_so_many_successes_of_a_second_have_a_line_and_the_others_are_summed_up(clock, infos):
    written = Reports(logging.getLogger("gigq.worker.w"), 5)
    for _ in range(12):
        settle(written)
    at_first = infos()
    clock.now += 1.0
    written.sum_up()

    assert at_first == ["job.completed"] * 5
    assert infos() == ["jobs.completed count=7"]


def test_a_sum_waits_until_its_second_is_over_also_when_the_worker_is_idle(clock, infos):
    written = Reports(logging.getLogger("gigq.worker.w"), 1)
    settle(written)
    settle(written)
    infos()
    clock.now += 0.4
    written.sum_up()

    assert infos() == []
    assert written.sum_due_in == pytest.approx(0.6)


def test_each_second_has_its_own_lines_and_its_own_sum(clock, infos):
    written = Reports(logging.getLogger("gigq.worker.w"), 2)
    for _ in range(3):
        for _ in range(5):
            settle(written)
        clock.now += 1.0
    written.sum_up()

    assert infos() == ["job.completed", "job.completed", "jobs.completed count=3"] * 3


def test_failures_and_jobs_of_a_second_or_more_always_have_a_line(clock, infos):
    written = Reports(logging.getLogger("gigq.worker.w"), 1)
    settle(written)
    for _ in range(3):
        settle(written, seconds=1.0)
        settle(written, status=JobStatus.FAILED)

    assert infos() == ["job.completed", *["job.completed", "job.failed"] * 3]
    assert written.sum_due_in == math.inf


def test_zero_means_a_line_for_every_job(clock, infos):
    written = Reports(logging.getLogger("gigq.worker.w"), 0)
    for _ in range(30):
        settle(written)

    assert infos() == ["job.completed"] * 30


def test_a_worker_that_ends_reports_its_sum_at_once(clock, infos):
    written = Reports(logging.getLogger("gigq.worker.w"), 1)
    settle(written)
    settle(written)
    infos()
    written.sum_up(worker_ends=True)

    assert infos() == ["jobs.completed count=1"]


def test_the_begin_of_a_job_is_no_line_at_info(clock, infos):
    Reports(logging.getLogger("gigq.worker.w"), 5).started(claim())

    assert infos() == []
