"""Short ways to put jobs into a store and to move them on."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.claim import Claim, Claimant, ClaimRequest, Finished, SettleBatch, Settled
from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job import DEFAULT_CRASH_LIMIT, DEFAULT_TIMEOUT
from gigq.model.job_status import JobStatus
from gigq.store.job_row import JobRow
from gigq.store.verbs import insertion, jobs, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigq.store.database import Database

WORKER = Claimant("worker-1", "worker:1")
COMPLETED = ExecutionResult(JobStatus.COMPLETED, value="42")
FAILED = ExecutionResult(JobStatus.FAILED, error="ValueError: no", cause=Cause.ERROR)
FAILED_FOR_GOOD = ExecutionResult(
    JobStatus.FAILED, error="ValueError: no", cause=Cause.ERROR, final=True
)
TIMED_OUT = ExecutionResult(JobStatus.TIMEOUT, error="took too long", cause=Cause.TIMEOUT)
STOPPED = ExecutionResult(JobStatus.FAILED, error="the daemon stopped", cause=Cause.STOPPED)
CANCELLED = ExecutionResult(JobStatus.CANCELLED, error="cancelled", cause=Cause.CANCELLED)

_ages = itertools.count()
_DEFAULTS = {
    "queue": "default",
    "priority": 0,
    "retry_policy": "",
    "retry_after": None,
    "max_attempts": 3,
    "timeout": DEFAULT_TIMEOUT,
    "retry_delay": 0,
    "on_parent_failure": "fail",
    "pass_parent_results": None,
    "function_file": None,
    "dependencies": [],
    "description": "",
    "params": "{}",
    "memory_limit": None,
    "crash_limit": DEFAULT_CRASH_LIMIT,
    "workflow": None,
    "expires_at": None,
    "due_why": None,
}


def job_row(name: str = "job", **columns: Any) -> dict[str, Any]:
    """A row to insert. Rows are made one second apart, the first one the oldest."""
    return {
        "id": new_id(),
        "name": name,
        "function_module": "app",
        "function_name": "work",
        "created_at": clock.after("2026-01-01T00:00:00+00:00", next(_ages)),
        **columns,
    }


def insert(db: Database, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Store jobs, each of the columns that its row names and of defaults; their ids."""
    now = clock.utc_now()
    given = [_full({"created_at": now, "updated_at": now, **_DEFAULTS, **row}) for row in rows]
    insertion.insert(db, [tuple(row) for row in given])
    return [row.id for row in given]


def _full(columns: dict[str, Any]) -> JobRow:
    if not isinstance(columns["dependencies"], str):
        columns["dependencies"] = json.dumps(columns["dependencies"])
    return JobRow(**columns)


def stored(db: Database, name: str = "job", **columns: Any) -> str:
    """Insert one job; its id."""
    return insert(db, [job_row(name, **columns)])[0]


def taken(db: Database, claimant: Claimant = WORKER) -> dict[str, Any]:
    """Claim the next job; there must be one."""
    row = settle_and_claim.claim(db, claimant, new_id())
    assert row is not None
    return row


def ran(db: Database, ending: ExecutionResult = COMPLETED, claimant: Claimant = WORKER) -> Settled:
    """Claim the next job and settle it; both must work."""
    settled = settle_and_claim.settle(db, taken(db, claimant)["execution_id"], ending)
    assert settled is not None
    return settled


def over(row: dict[str, Any], ending: ExecutionResult = COMPLETED) -> Finished:
    """A claimed row as a claim whose function is over."""
    return Finished(Claim.from_row(row), ending)


def swapped(
    db: Database, done: dict[str, Any] | None, claimant: Claimant = WORKER
) -> tuple[Settled | None, dict[str, Any] | None]:
    """Settle one completed row, if there is one, and claim the next in the same transaction."""
    handover = SettleBatch() if done is None else SettleBatch((over(done),))
    settled, rows, _ = settle_and_claim.exchange(db, handover, claimant, ClaimRequest(new_id()))
    return settled[0] if settled else None, rows[0] if rows else None


def request_cancel(db: Database, job_id: str) -> bool:
    """Request the cancel of a running job; False when it does not run."""
    with db.transaction(durable=True) as session:
        return settle_and_claim.request_cancel(session, job_id)


def status_of(db: Database, job_id: str) -> str:
    """The stored text of a job's status."""
    row = jobs.get(db, job_id)
    assert row is not None
    return str(row["status"])
