"""Rescue by plain workers: jobs past their timeout, jobs of dead processes, and expired jobs.

The executions of a daemon are left alone: its supervisor ends them and its recorder settles them.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.execution import job_events
from gigq.execution.timer_interrupt import overrun
from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult
from gigq.model.job_status import JobStatus
from gigq.model.runs import is_of_plain_worker
from gigq.store.verbs import expiry, settle_and_claim

if TYPE_CHECKING:
    from gigq.model.claim import Settled
    from gigq.store.backend import Backend
    from gigq.store.database import Database

_GRACE = 1.0
"""Seconds after a job's timeout in which its living worker may still interrupt it."""


def take_back(db: Database, backend: Backend) -> None:
    """Settle executions of dead plain workers, overdue ones and expired jobs; wake workers."""
    settled = lost(db, backend) + overdue(db)
    expired = expiry.expire_some(db)
    job_events.expired(expired)
    due = [queue for done in settled for queue in done.due_in]
    due += [queue for one in expired for queue in one.due_in]
    backend.notify(Counter(due))


def lost(db: Database, backend: Backend) -> list[Settled]:
    """Settle the open executions of plain workers whose process is dead."""
    # Without a run there is no process that could be dead.
    named = [row for row in settle_and_claim.open_executions(db) if row["run"] is not None]
    plain = [row for row in named if is_of_plain_worker(row["run"])]
    ended = backend.ended_leases(db, (row["run"] for row in plain))
    dead = [row for row in plain if row["run"] in ended or not backend.is_alive(row["run"])]
    return [done for row in dead if (done := _settle(db, row, _result_of_lost(row), ended))]


def overdue(db: Database) -> list[Settled]:
    """Settle the open executions of plain workers that are past the job's timeout.

    Their code may still be running: only the daemon can end it. A later result is refused.
    """
    now = db.now()
    late = [row for row in settle_and_claim.overdue(db) if _is_late(row, now)]
    return [done for row in late if (done := _settle(db, row, _result_of_overdue(row)))]


def _is_late(row: dict[str, Any], now: str) -> bool:
    return clock.after(row["started_at"], row["timeout"] + _GRACE) <= now


def _result_of_lost(row: dict[str, Any]) -> ExecutionResult:
    error = f"the process of worker {row['worker_id']} ended while it ran this job"
    return ExecutionResult(JobStatus.FAILED, error=error, cause=Cause.LOST)


def _result_of_overdue(row: dict[str, Any]) -> ExecutionResult:
    return ExecutionResult(JobStatus.TIMEOUT, error=overrun(row["timeout"]), cause=Cause.TIMEOUT)


def _settle(
    db: Database,
    row: dict[str, Any],
    result: ExecutionResult,
    ended_leases: frozenset[str] = frozenset(),
) -> Settled | None:
    leased = row["run"] if row["run"] in ended_leases else None
    done = settle_and_claim.settle(db, row["execution_id"], result, leased)
    if done is not None:
        events.emit(
            events.JOB_RESCUED,
            level=logging.WARNING,
            job_id=done.job_id,
            job=row["name"],
            execution=done.execution_id,
            worker=row["worker_id"],
            status=done.job_status.value,
            reason=result.error,
        )
        job_events.ended(done, result, job_events.known_of(row, done))
    return done
