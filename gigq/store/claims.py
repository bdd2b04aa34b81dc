"""The verbs on claims: claim, settle, both at once, adopt, and what is open or overdue.

Every change is guarded by the job's status and its execution id. Zero rows is an outcome, not
an error: somebody else was first, and the caller is told with None.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gigq import clock
from gigq.claim import Claimant, Settled
from gigq.ids import new_id
from gigq.outcome import Ending, Outcome, PostMortem, decide
from gigq.status import Cause, JobStatus
from gigq.store import dependents
from gigq.store.database import UnreadableText
from gigq.store.submission import DEFAULTS

if TYPE_CHECKING:
    from gigq.store.database import Database, Row, Session

_POST_MORTEM = tuple(field.name for field in fields(PostMortem))
_ALIVE = dict.fromkeys(_POST_MORTEM)


class _MustBeDurable(Exception):  # noqa: N818 - a signal between two tries, never seen outside
    """The job has a single attempt: its start must not be forgotten in a power cut."""


def claim(db: Database, claimant: Claimant, execution_id: str) -> Row | None:
    """Take the best due job: it becomes running and an execution opens.

    Best is the highest priority, then the oldest. Jobs whose time has come are due first.

    Returns:
        The job's row, its execution id included; None when nothing is due.
    """
    return exchange(db, None, None, claimant, execution_id)[1]


def settle(db: Database, execution_id: str, ending: Ending) -> Settled | None:
    """Record what happened to an execution and all that follows from it.

    Returns:
        None when it was not the job's current execution any more; then the job is unchanged.
    """
    return exchange(db, execution_id, ending, None, None)[0]


def exchange(
    db: Database,
    execution_id: str | None,
    ending: Ending | None,
    claimant: Claimant | None,
    new_execution_id: str | None,
) -> tuple[Settled | None, Row | None]:
    """Settle what is done and claim what fits, in one transaction.

    Args:
        db: the database.
        execution_id: the execution that is over, with `ending`; None when there is none.
        ending: what happened to it.
        claimant: who claims; None to claim nothing.
        new_execution_id: the id that the claim's execution gets.
    """
    durable, again = db.durable, False
    while True:
        try:
            with db.transaction(durable=durable) as session:
                done = _settle(session, execution_id, ending) if execution_id and ending else None
                if claimant is None or new_execution_id is None:
                    return done, None
                return done, _claim(session, claimant, new_execution_id, durable=durable)
        except _MustBeDurable:
            durable = True
        except UnreadableText:
            # Nothing is changed, and the second time it can be read.
            if again:
                raise
            again = True


def adopt(db: Database, job_id: str, execution_id: str, claimant: Claimant) -> Row | None:
    """Take over a claim that foreign SQL made, so that it can be settled like any other.

    Foreign SQL may have marked the job running, with an execution of its own or with none, or
    may have picked a due job and changed nothing.

    Returns:
        The job's row; None when somebody else has it.
    """
    with db.transaction(durable=True) as session:
        who = {"worker_id": claimant.worker_id, "execution_id": execution_id, "now": session.now}
        job = session.one("adopt_job", {**who, "job_id": job_id})
        if job is not None:
            opened = {"job_id": job_id, "attempt": job["attempts"], "run": claimant.run}
            if not session.run("adopt_execution", {**who, **opened}):
                _open(session, {**who, **opened})
        return job


def request_cancel(db: Database, job_id: str) -> bool:
    """Ask for the end of a running job: however its attempt ends, there is no other.

    Only a function that returns all the same completes the job.

    Returns:
        False when the job is unknown or does not run; then nothing changed.
    """
    with db.transaction(durable=True) as session:
        return ask_to_cancel(session, job_id)


def ask_to_cancel(session: Session, job_id: str) -> bool:
    """The same as `request_cancel`, as part of a transaction."""
    return session.run("request_cancel", {"job_id": job_id, "now": session.now}) > 0


def cancel_requests(db: Database) -> list[Row]:
    """The open executions whose cancel is requested: `execution_id`, `run`, `worker_id`."""
    return db.all("cancel_requests")


def is_cancel_requested(db: Database, execution_id: str) -> bool:
    """Whether the execution is open and its cancel is requested."""
    return db.one("is_cancel_requested", {"execution_id": execution_id}) is not None


def open_executions(db: Database) -> list[Row]:
    """Every execution without an ending: `execution_id`, `job_id`, `run`, `worker_id`, …"""
    return db.all("open_executions")


def overdue(db: Database) -> list[Row]:
    """Open executions of plain workers that are past their start plus the job's timeout.

    The daemon's own are left out: their supervisor ends and settles them. A job that foreign
    SQL marked running without ever opening an execution gets one here, once it is overdue.
    Where nobody answers for an execution, a job without a limit gets GigQ's usual one: there is
    no process that could be asked whether it still runs.
    """
    now = clock.utc_now()
    _adopt_strays(db, now)
    plain = [_limited(row) for row in open_executions(db) if _is_plain(row["run"])]
    return [row for row in plain if _is_over(row, now)]


def next_due_at(db: Database, queues: tuple[str, ...] | None) -> str | None:
    """The earliest time at which a delayed job becomes due; None when no job is delayed."""
    if queues is None:
        row = db.one("next_due_at")
    else:
        row = db.one("next_due_at_in_queues", {"queues": json.dumps(queues)})
    due_at = row["due_at"] if row else None
    return due_at if _is_time(due_at) else None


def anything_due(db: Database) -> bool:
    """Whether some job could be claimed now. Delayed jobs whose time has come do not count yet."""
    return db.one("anything_due") is not None


def _claim(session: Session, claimant: Claimant, execution_id: str, *, durable: bool) -> Row | None:
    session.run("promote_delayed", {"now": session.now})
    who = {"worker_id": claimant.worker_id, "execution_id": execution_id, "now": session.now}
    job = _take_best(session, claimant.queues, who)
    if job is None:
        return None
    if job["max_attempts"] == 1 and not durable:
        raise _MustBeDurable
    opened = {"job_id": job["id"], "attempt": job["attempts"], "run": claimant.run}
    _open(session, {**who, **opened})
    return job


def _open(session: Session, execution: Row) -> None:
    if session.run("open_execution", execution):
        return
    # Foreign SQL made the job pending while its execution was open. That one is not current.
    session.run("supersede_execution", {"job_id": execution["job_id"], "now": session.now})
    session.run("open_execution", execution)


def _take_best(session: Session, queues: tuple[str, ...] | None, who: dict[str, str]) -> Row | None:
    if queues is None:
        return session.one("claim_from_every_queue", who)
    if len(queues) == 1:
        return session.one("claim_from_queue", {**who, "queue": queues[0]})
    return session.one("claim_from_queues", {**who, "queues": json.dumps(queues)})


def _settle(session: Session, execution_id: str, ending: Ending) -> Settled | None:
    if ending.status is JobStatus.COMPLETED:
        return _settle_completed(session, execution_id, ending)
    return _settle_otherwise(session, execution_id, ending)


def _settle_completed(session: Session, execution_id: str, ending: Ending) -> Settled | None:
    job_id = _close_execution(session, execution_id, ending, JobStatus.COMPLETED, None)
    if job_id is None:
        return None
    job = {"job_id": job_id, "execution_id": execution_id, "now": session.now}
    row = session.one("complete_job", {**job, "result": ending.result})
    if row is None:
        return None
    released = dependents.release(session, job_id)
    return Settled(
        job_id,
        execution_id,
        JobStatus.COMPLETED,
        row["attempts"],
        row["max_attempts"],
        released=released,
    )


def _settle_otherwise(session: Session, execution_id: str, ending: Ending) -> Settled | None:
    job = session.one("job_to_decide", {"execution_id": execution_id})
    if job is None:
        # Somebody's SQL took the job away from its open execution: that one is over all the same.
        _close_execution(session, execution_id, ending, ending.status, ending.cause)
        return None
    outcome = decide(ending, job, session.now)
    _close_execution(session, execution_id, ending, outcome.execution_status, outcome.cause)
    attempts = job["attempts"] - outcome.refunded
    session.run("end_attempt", _ended(session, job, execution_id, outcome, attempts))
    after = _consequences(session, job, outcome)
    return Settled(
        job["id"],
        execution_id,
        outcome.status,
        attempts,
        job["max_attempts"],
        outcome.retry_after,
        after.released,
        after.cut_off,
    )


def _ended(session: Session, job: Row, execution_id: str, outcome: Outcome, attempts: int) -> Row:
    again = outcome.status is JobStatus.PENDING
    return {
        "job_id": job["id"],
        "execution_id": execution_id,
        "status": outcome.status.value,
        "attempts": attempts,
        "refunded": int(outcome.refunded),
        "crashed": int(outcome.crashed),
        "error": outcome.error,
        "cause": outcome.cause,
        "completed_at": None if again else session.now,
        "retry_after": outcome.retry_after,
        "next_execution_id": None if again else execution_id,
        "now": session.now,
    }


def _consequences(session: Session, job: Row, outcome: Outcome) -> dependents.Consequences:
    if outcome.status is JobStatus.PENDING:
        return dependents.Consequences()
    return dependents.cut_off(
        session, dependents.Parent(job["id"], job["name"], outcome.status.value)
    )


def _close_execution(
    session: Session, execution_id: str, ending: Ending, status: JobStatus, cause: Cause | None
) -> str | None:
    """End an open execution; its job's id, or None when it is not open."""
    row = session.one(
        "settle_execution",
        {
            "execution_id": execution_id,
            "status": status.value,
            "now": session.now,
            "result": ending.result,
            "error": ending.error,
            "cause": cause,
            **_known(ending.post_mortem),
        },
    )
    return None if row is None else str(row["job_id"])


def _known(post_mortem: PostMortem | None) -> dict[str, Any]:
    if post_mortem is None:
        return _ALIVE
    return {name: getattr(post_mortem, name) for name in _POST_MORTEM}


def _is_plain(run: str | None) -> bool:
    return run is None or run.startswith("worker:")


def _limited(row: Row) -> Row:
    if row["timeout"] is None and row["run"] is None:
        return {**row, "timeout": DEFAULTS["timeout"]}
    return row


def _is_over(row: Row, now: str) -> bool:
    # Foreign SQL may have written anything: a limit that is no number is none.
    if not isinstance(row["timeout"], int | float) or not _is_time(row["started_at"]):
        return False
    return clock.after(row["started_at"], row["timeout"]) <= now


def _is_time(value: Any) -> bool:
    try:
        clock.parse(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _adopt_strays(db: Database, now: str) -> None:
    strays = [row for row in map(_limited, db.all("strays")) if _is_over(row, now)]
    if not strays:
        return
    with db.transaction(durable=False) as session:
        for row in strays:
            _adopt_stray(session, row)


def _adopt_stray(session: Session, stray: Row) -> None:
    ids = {"job_id": stray["job_id"], "execution_id": new_id()}
    job = session.one("adopt_stray", ids)
    if job is not None:
        opened = {"attempt": job["attempts"], "run": None, "worker_id": job["worker_id"]}
        _open(session, {**ids, **opened, "now": stray["started_at"]})
