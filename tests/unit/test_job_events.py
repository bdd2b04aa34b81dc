"""How many lines of the log successful jobs get: some each second, and a sum of the others."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from gigq.execution import job_events
from gigq.execution.job_events import JobEvents
from gigq.model.claim import Claim, Finished, Settled
from gigq.model.execution_result import ExecutionResult
from gigq.model.function_import import FunctionRef
from gigq.model.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Counted:
    """Counts as gigqd shares them with its supervisor."""

    summed: int = 0
    unreported: int = 0


class Clock:
    """The monotonic clock, moved by the test."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(job_events, "time", one)
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
    written: JobEvents, seconds: float = 0.001, status: JobStatus = JobStatus.COMPLETED
) -> None:
    one = claim()
    done = Settled("j1", "e1", status, 1, 3)
    written.settled(Finished(one, ExecutionResult(status), seconds), done)


def test_so_many_successes_of_a_second_have_a_line_and_the_others_are_counted(clock, infos):
    counts = Counted()
    written = JobEvents(logging.getLogger("gigq.worker.w"), 5, counts)
    for _ in range(12):
        settle(written)

    assert infos() == ["job.completed"] * 5
    assert counts == Counted(summed=7)


def test_each_second_has_its_own_lines(clock, infos):
    counts = Counted()
    written = JobEvents(logging.getLogger("gigq.worker.w"), 2, counts)
    for _ in range(3):
        for _ in range(5):
            settle(written)
        clock.now += 1.0

    assert infos() == ["job.completed"] * 6
    assert counts == Counted(summed=9)


def test_what_is_settled_while_a_job_runs_is_counted_until_it_is_reported(clock, infos):
    counts = Counted()
    written = JobEvents(logging.getLogger("gigq.worker.w"), 5, counts)
    done = [
        Settled("j1", "e1", status, 1, 3)
        for status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.COMPLETED)
    ]
    written.unreported([*done, None])
    before = replace(counts)
    written.all_reported()

    assert (before, counts) == (Counted(unreported=2), Counted())


def test_failures_and_jobs_of_a_second_or_more_always_have_a_line(clock, infos):
    counts = Counted()
    written = JobEvents(logging.getLogger("gigq.worker.w"), 1, counts)
    settle(written)
    for _ in range(3):
        settle(written, seconds=1.0)
        settle(written, status=JobStatus.FAILED)

    assert infos() == ["job.completed", *["job.completed", "job.failed"] * 3]
    assert counts == Counted()


def test_zero_means_a_line_for_every_job(clock, infos):
    written = JobEvents(logging.getLogger("gigq.worker.w"), 0)
    for _ in range(30):
        settle(written)

    assert infos() == ["job.completed"] * 30


def test_the_begin_of_a_job_is_no_line_at_info(clock, infos):
    JobEvents(logging.getLogger("gigq.worker.w"), 5).started(claim())

    assert infos() == []
