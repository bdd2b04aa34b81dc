"""Exit record of a child with the details of its job, and the log lines about its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigqd import logs
from gigqd.ipc.scoreboard import Activity

if TYPE_CHECKING:
    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.ipc.scoreboard import Report
    from gigqd.process.child import Child
    from gigqd.supervisor.slots import Slot

log = logs.get_logger(__name__)


def add_job_details(
    record: ExitRecord, slot: Slot, child: Child, report: Report, now: float
) -> ExitRecord:
    """Return the exit record with the details of the child and its job.

    Args:
        record: the exit code or signal, and the cause; without a cause no details are needed.
        slot: its slot.
        child: the child; it and its process tree are gone.
        report: its last report.
        now: the time, in seconds of the monotonic clock.
    """
    if record.cause is None:
        return record
    due = child.overrun_at + slot.limits.grace
    execution, own_error = child.own_error
    began = report.since if report.activity is Activity.BUSY else child.job_began(report.started)
    return record._replace(
        worker_id=child.context.worker_id,
        latest=report.latest,
        running=report.activity in (Activity.BUSY, Activity.SETTLING),
        own_error=own_error if execution == report.latest else "",
        stack=child.stacks(),
        output=child.output_tail(),
        limit=report.deadline - report.since if report.deadline else 0.0,
        late=max(0.0, child.killed_at - due) if record.cause is Cause.TIMEOUT else 0.0,
        killed=child.killed,
        wall_time=(child.killed_at or now) - began if began else 0.0,
        cpu_time=child.cpu_of_job(report),
        peak_memory=child.peak_of_job(report.started),
        memory_limit=report.memory_limit,
    )


def log_interruption(slot: Slot, child: Child, report: Report) -> None:
    """Log that a child's job is interrupted, and why."""
    cause = slot.interruption_cause
    if cause is Cause.TIMEOUT:
        child.overrun_at = report.deadline
    log.warning(
        "job_interrupted",
        slot=slot.name,
        pid=child.pid,
        job_id=report.job_id,
        job=report.job_name,
        attempt=report.attempt,
        execution=report.execution,
        cause=cause,
        limit=round(report.deadline - report.since, 3) if cause is Cause.TIMEOUT else None,
        memory_limit=report.memory_limit if cause is Cause.MEMORY else None,
    )


def log_exit(slot: Slot, child: Child, report: Report, record: ExitRecord) -> None:
    """Log the exit of a child, after the sum of its jobs."""
    child.completed_counts.end()
    emit = log.info if record.cause is None else log.warning
    emit(
        "worker_exited",
        slot=slot.name,
        pid=child.pid,
        exit_code=record.exit_code,
        signal=record.signal,
        cause=record.cause,
        execution=report.execution or None,
        killed=child.killed,
    )
    if record.cause is not None and report.activity is Activity.BUSY:
        job = {"job_id": report.job_id, "job": report.job_name, "attempt": report.attempt}
        logs.job_output(child.output_tail(), slot=slot.name, **job)
