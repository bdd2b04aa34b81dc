"""What became of a child, in one place: the log's line and the verdict for the keeper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.scoreboard import Activity
from gigqd.slots import Cause
from gigqd.verdicts import Verdict

if TYPE_CHECKING:
    from gigqd.child import Child
    from gigqd.reaper import Death
    from gigqd.scoreboard import Report
    from gigqd.slots import Slot

log = logs.get_logger("gigqd.crew")


@dataclass(frozen=True, slots=True)
class End:
    """The end of a child and of all below it.

    Attributes:
        death: how the child itself ended.
        report: what it last said.
        cause: why its job came to a bad end; None when it left as asked.
        at: when it was all over, in seconds of the monotonic clock.
    """

    death: Death
    report: Report
    cause: Cause | None
    at: float


def verdict_of(slot: Slot, child: Child, end: End) -> Verdict | None:
    """All that is known of a child's bad end, for the keeper to record; None when it was none."""
    if end.cause is None:
        return None
    report, death = end.report, end.death
    due = child.overrun_at + slot.limits.grace
    began = report.since if report.activity is Activity.BUSY else child.job_began(report.started)
    return Verdict(
        worker_id=child.birth.worker_id,
        cause=end.cause,
        how=str(death),
        latest=report.latest,
        running=report.activity in (Activity.BUSY, Activity.SETTLING),
        exit_code=death.exit_code,
        signal=death.signal,
        stack=child.stacks(),
        output=child.output_tail(),
        limit=report.deadline - report.since if report.deadline else 0.0,
        late=max(0.0, child.killed_at - due) if end.cause is Cause.TIMEOUT else 0.0,
        killed=child.killed,
        wall_time=(child.killed_at or end.at) - began if began else 0.0,
        cpu_time=child.cpu_of_job(report),
        peak_memory=child.peak_of_job(report.started),
        memory_limit=report.memory_limit,
    )


def note_overrun(slot: Slot, child: Child, report: Report) -> None:
    """Tell that a child's job is asked to end, and why."""
    if slot.asked_why is Cause.TIMEOUT:
        child.overrun_at = report.deadline
    log.warning(
        "job_asked_to_end",
        slot=slot.name,
        pid=child.pid,
        job_id=report.job_id,
        job=report.job_name,
        attempt=report.attempt,
        execution=report.execution,
        cause=slot.asked_why,
        limit=round(report.deadline - report.since, 3) if report.deadline else None,
    )


def log_exit(slot: Slot, child: Child, end: End) -> None:
    """Tell how a child ended, after the sum of its jobs."""
    child.sums.end()
    emit = log.info if end.cause is None else log.warning
    emit(
        "worker_exited",
        slot=slot.name,
        pid=child.pid,
        exit_code=end.death.exit_code,
        signal=end.death.signal,
        cause=end.cause,
        execution=end.report.execution or None,
        killed=child.killed,
    )
    report = end.report
    if end.cause is not None and report.activity is Activity.BUSY:
        job = {"job_id": report.job_id, "job": report.job_name, "attempt": report.attempt}
        logs.job_output(child.output_tail(), slot=slot.name, **job)
