"""Translation of a worker's exit record into the result of the execution that it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult, PostMortem
from gigq.model.job_status import JobStatus
from gigq.model.units import format_size

if TYPE_CHECKING:
    from gigqd.ipc.exit_record import ExitRecord

_STATUSES: dict[Cause | None, JobStatus] = {
    Cause.TIMEOUT: JobStatus.TIMEOUT,
    Cause.CANCELLED: JobStatus.CANCELLED,
}


def result_of_exit(record: ExitRecord) -> ExecutionResult:
    """Return the result of the execution that the worker was running."""
    return ExecutionResult(
        _STATUSES.get(record.cause, JobStatus.FAILED),
        error=f"{_error(record)}; {record.own_error}" if record.own_error else _error(record),
        cause=record.cause,
        post_mortem=_post_mortem(record),
    )


def result_of_lost(execution: dict[str, Any]) -> ExecutionResult:
    """Return the result of an execution whose worker and supervisor are gone."""
    return _lost(
        f"worker {execution['worker_id']} and the process that supervised it ended "
        "before the outcome of this attempt was recorded"
    )


def result_of_unrecorded(record: ExitRecord) -> ExecutionResult:
    """Return the result of an execution that was over when its worker died with its outcome."""
    return _lost(
        f"the worker process {_past(record)} after this attempt had ended and "
        "before its outcome was recorded"
    )


def result_of_stray(execution: dict[str, Any]) -> ExecutionResult:
    """Return the result of an execution that a restored file has open and no worker runs."""
    return _lost(
        f"the database file was replaced, and worker {execution['worker_id']} does "
        "not run this attempt"
    )


def _lost(reason: str) -> ExecutionResult:
    return ExecutionResult(JobStatus.FAILED, error=f"WorkerLost: {reason}", cause=Cause.LOST)


def _error(record: ExitRecord) -> str:
    match record.cause:
        case Cause.TIMEOUT:
            return f"JobTimeout: still running at its limit of {record.limit:g} s; it was killed"
        case Cause.CANCELLED:
            return "JobCancelled: cancelled while it ran; it was killed"
        case Cause.MEMORY:
            return f"MemoryLimitExceeded: {_used(record)}; it was killed"
        case Cause.OOM:
            return f"OutOfMemory: the kernel killed the worker to free memory; {_used(record)}"
        case Cause.STOPPED:
            return "cut short by a stop of the daemon"
        case Cause.LOST:
            return (
                "WorkerLost: the daemon could not renew its lease in time, and ended its jobs "
                "before other hosts run them"
            )
        case Cause.BOOT:
            return f"WorkerFailed: the worker process {_past(record)} before it was up"
        case _:
            return f"WorkerCrashed: the worker process {_past(record)} while it ran this job"


def _used(record: ExitRecord) -> str:
    limit = record.memory_limit
    allowed = f"its limit was {_as_given(limit)}" if limit else "it had no limit"
    return f"its processes used {format_size(record.peak_memory)} of memory and {allowed}"


def _as_given(limit: int) -> str:
    """Return a limit in the unit that it was given in, and in that of the memory used."""
    given, compared = format_size(limit, exact=True), format_size(limit)
    return given if given == compared else f"{given} ({compared})"


def _past(record: ExitRecord) -> str:
    return f"was {record}" if record.signal else str(record)


def _post_mortem(record: ExitRecord) -> PostMortem:
    ran = record.wall_time > 0
    return PostMortem(
        exit_code=record.exit_code,
        signal=record.signal,
        stack=record.stack or None,
        output=record.output or None,
        peak_rss=record.peak_memory or None,
        cpu_time=round(record.cpu_time, 3) if ran else None,
        wall_time=round(record.wall_time, 3) if ran else None,
        late=round(record.late, 4) if record.cause is Cause.TIMEOUT else None,
        killed=record.killed,
    )
