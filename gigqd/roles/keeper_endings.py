"""What a verdict means for the execution that the dead worker was running: a pure translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cause import Cause
from gigq.outcome import Ending, PostMortem
from gigq.status import JobStatus

if TYPE_CHECKING:
    from gigqd.verdicts import Verdict

_STATUSES = {Cause.TIMEOUT: JobStatus.TIMEOUT, Cause.CANCELLED: JobStatus.CANCELLED}


def ending_of(verdict: Verdict) -> Ending:
    """What a verdict means for the execution that the worker was running."""
    cause = Cause(verdict.cause)
    return Ending(
        _STATUSES.get(cause, JobStatus.FAILED),
        error=_error(cause, verdict),
        cause=cause,
        post_mortem=_post_mortem(verdict),
    )


def ending_of_lost(execution: dict[str, Any]) -> Ending:
    """The ending of an execution whose worker is gone, with whoever could have told how."""
    error = (
        f"WorkerLost: worker {execution['worker_id']} was gone, with the process that watched it, "
        "before it could say how this attempt ended"
    )
    return Ending(JobStatus.FAILED, error=error, cause=Cause.LOST)


def ending_of_unrecorded(verdict: Verdict) -> Ending:
    """The ending of an execution that was over when its worker died, with the outcome it had."""
    error = (
        f"WorkerLost: the worker process {_past(verdict.how)} after this attempt had ended and "
        "before its outcome was recorded"
    )
    return Ending(JobStatus.FAILED, error=error, cause=Cause.LOST)


def ending_of_stray(execution: dict[str, Any]) -> Ending:
    """The ending of an execution that another database file has open, and that nobody runs."""
    error = (
        f"WorkerLost: the database file was replaced, and worker {execution['worker_id']} does "
        "not run this attempt"
    )
    return Ending(JobStatus.FAILED, error=error, cause=Cause.LOST)


def _error(cause: Cause, verdict: Verdict) -> str:
    match cause:
        case Cause.TIMEOUT:
            return f"JobTimeout: still running at its limit of {verdict.limit:g} s; it was killed"
        case Cause.CANCELLED:
            return "JobCancelled: cancelled while it ran; it was killed"
        case Cause.MEMORY:
            return f"MemoryLimitExceeded: {_used(verdict)}; it was killed"
        case Cause.OOM:
            return f"OutOfMemory: the kernel killed the worker to free memory; {_used(verdict)}"
        case Cause.STOPPED:
            return "cut short by a stop of the daemon"
        case Cause.BOOT:
            return f"WorkerFailed: the worker process {_past(verdict.how)} before it was up"
        case _:
            return f"WorkerCrashed: the worker process {_past(verdict.how)} while it ran this job"


def _used(verdict: Verdict) -> str:
    limit = verdict.memory_limit
    allowed = f"its limit was {_megabytes(limit)}" if limit else "it had no limit"
    return f"its processes used {_megabytes(verdict.peak_memory)} of memory and {allowed}"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"


def _past(how: str) -> str:
    return f"was {how}" if how.startswith("killed") else how


def _post_mortem(verdict: Verdict) -> PostMortem:
    ran = verdict.wall_time > 0
    return PostMortem(
        exit_code=verdict.exit_code,
        signal=verdict.signal,
        stack=verdict.stack or None,
        output=verdict.output or None,
        peak_rss=verdict.peak_memory or None,
        cpu_time=round(verdict.cpu_time, 3) if ran else None,
        wall_time=round(verdict.wall_time, 3) if ran else None,
        late=round(verdict.late, 4) if verdict.cause == Cause.TIMEOUT else None,
        killed=verdict.killed,
    )
