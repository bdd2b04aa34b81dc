"""Recording of outcomes and their effects, and release of claims, inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigq.model.claim import Settled, unreadable
from gigq.model.execution_result import ExecutionResult, PostMortem
from gigq.model.job_status import JobStatus
from gigq.model.retry_decision import Outcome, decide
from gigq.model.storable_text import storable, storable_list, storable_value
from gigq.store.verbs import dependents, unknown_functions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigq.model.claim import Finished
    from gigq.store.database import Row, Session
    from gigq.store.session import Completion

_UNKNOWN = PostMortem()


class Contended(Exception):  # noqa: N818 - a signal between two tries, never seen outside
    """One of several executions that another process has settled: settle each by itself."""


def settle(session: Session, execution_id: str, result: ExecutionResult) -> Settled | None:
    """Settle one execution; return None when it is not the job's current one any more."""
    if result.status is JobStatus.COMPLETED:
        return _settle_completed(session, execution_id, result)
    return _settle_otherwise(session, execution_id, result)


def plain_ones(finished: Sequence[Finished]) -> list[Finished]:
    """Return those that can be settled by one statement, which locks their jobs by itself."""
    return [one for one in finished if _is_plain(one.result)]


def settle_together(
    session: Session, finished: Sequence[Finished], plain: Sequence[Finished]
) -> list[Settled | None]:
    """Settle several executions, the `plain_ones` among them first and together.

    Raises:
        Contended: not all could be settled; the caller must roll the transaction back.
    """
    done = _complete(session, plain)
    return [
        done[id_] if (id_ := one.claim.execution_id) in done else settle(session, id_, one.result)
        for one in finished
    ]


def release(session: Session, job_id: str, execution_id: str) -> Settled | None:
    """Release a claim that has not started, without counting or recording an attempt.

    A job whose cancel was requested since the claim is cancelled instead.

    Returns:
        None when it was not the job's current execution any more.
    """
    ids = {"job_id": job_id, "execution_id": execution_id, "now": session.now}
    waited = session.one("delete_unstarted_execution", ids)
    if waited is None:
        return settle(session, execution_id, ExecutionResult(JobStatus.FAILED, cause=Cause.STOPPED))
    row = session.one("release_job", {**ids, **waited})
    return None if row is None else _released(job_id, execution_id, row)


def release_together(session: Session, ids: Sequence[tuple[str, str]]) -> list[Settled | None]:
    """Release several claims whose jobs are locked, each as `release` does.

    Args:
        session: the transaction.
        ids: the execution and the job of each claim.
    """
    rows = session.release(ids) if len(ids) > 1 else {}
    return [
        _released(job, id_, rows[id_]) if id_ in rows else release(session, job, id_)
        for id_, job in ids
    ]


def _released(job_id: str, execution_id: str, row: Row) -> Settled:
    left, most = row["attempts"], row["max_attempts"]
    return Settled(job_id, execution_id, JobStatus.PENDING, left, most, due_in=(row["queue"],))


def fail_unreadable(session: Session, job: Row, column: str, why: str) -> None:
    """Fail a pending job with an unreadable column, and apply the policies of its dependents.

    Args:
        session: the transaction.
        job: its `row`, `id`, `name` and the unreadable column.
        column: the name of that column.
        why: the fault of its value.
    """
    error = f"gigq.errors.UnreadableJob: {unreadable(column, job[column], why)}"
    where = {"row": job["row"], "error": storable(error), "now": session.now}
    if session.run("fail_unreadable_job", where):
        dependents.fail_dependents(session, dependents.Parent(job["id"], job["name"], "failed"))


def _is_plain(result: ExecutionResult) -> bool:
    """Return True for a success without interruption, stack or note."""
    known = result.post_mortem
    usual = known is None or (known.stack is None and known.note is None)
    return result.status is JobStatus.COMPLETED and usual and result.interrupted_by is None


def _complete(session: Session, finished: Sequence[Finished]) -> dict[str, Settled | None]:
    if not finished:
        return {}
    if not session.complete([_completion(one) for one in finished]):
        raise Contended
    parents = storable_list(one.claim.job_id for one in finished)
    awaited = {row["parent_id"] for row in session.all("awaited_among", {"ids": parents})}
    done: dict[str, Settled | None] = {}
    for claim in [one.claim for one in finished]:
        due_in = dependents.release(session, claim.job_id) if claim.job_id in awaited else ()
        ids = claim.job_id, claim.execution_id
        done[claim.execution_id] = _completed(*ids, claim.attempt, claim.max_attempts, due_in)
    return done


def _completed(
    job_id: str, execution_id: str, attempt: int, max_attempts: int, due_in: tuple[str, ...]
) -> Settled:
    usual = job_id, execution_id, JobStatus.COMPLETED, attempt, max_attempts
    return Settled(*usual, released=len(due_in), due_in=due_in) if due_in else Settled(*usual)


def _completion(one: Finished) -> Completion:
    known = one.result.post_mortem or _UNKNOWN
    used = known.peak_rss, known.cpu_time, known.wall_time
    output = None if known.output is None else storable(known.output)
    return one.result.value, output, *used, one.claim.execution_id, one.claim.job_id


def _settle_completed(
    session: Session, execution_id: str, result: ExecutionResult
) -> Settled | None:
    job_id = _close_execution(session, execution_id, result, JobStatus.COMPLETED, None)
    if job_id is None:
        return None
    job = {"job_id": job_id, "execution_id": execution_id, "now": session.now}
    row = session.one("complete_job", {**job, "result": result.value})
    if row is None:
        return None
    due_in = dependents.release(session, job_id)
    return _completed(job_id, execution_id, row["attempts"], row["max_attempts"], due_in)


def _settle_otherwise(
    session: Session, execution_id: str, result: ExecutionResult
) -> Settled | None:
    job = session.one("job_to_decide", {"execution_id": execution_id})
    if job is None:
        # Foreign SQL gave the job another execution; this one is closed all the same.
        _close_execution(session, execution_id, result, result.status, result.cause)
        return None
    if result.unknown is not None:
        noted = unknown_functions.note(session, job, execution_id, result)
        if noted.error is None:
            done = release(session, job["id"], execution_id)
            return done and done._replace(is_first_unknown=noted.is_first)
        result = result._replace(error=noted.error, final=True)
    outcome = decide(result, job, session.now)
    _close_execution(session, execution_id, result, outcome.execution_status, outcome.cause)
    attempts = job["attempts"] - (outcome.released or outcome.snoozed)
    session.run("end_attempt", _ended(session, job, execution_id, outcome, attempts))
    after = _consequences(session, job, outcome)
    return Settled(
        job["id"],
        execution_id,
        outcome.status,
        attempts,
        job["max_attempts"],
        outcome.retry_after,
        len(after.due_in),
        after.failed_dependents,
        (job["queue"],) if outcome.status is JobStatus.PENDING else after.due_in,
        outcome.reason,
        outcome.cause,
    )


def _ended(session: Session, job: Row, execution_id: str, outcome: Outcome, attempts: int) -> Row:
    again = outcome.status is JobStatus.PENDING
    return {
        "job_id": job["id"],
        "execution_id": execution_id,
        "status": outcome.status.value,
        "attempts": attempts,
        "released": int(outcome.released),
        "snoozed": int(outcome.snoozed),
        "crashed": int(outcome.crashed),
        "error": storable_value(outcome.error),
        "cause": outcome.cause,
        "completed_at": None if again else session.now,
        "retry_after": outcome.retry_after,
        "due_why": _due_why(outcome),
        "next_execution_id": None if again else execution_id,
        "now": session.now,
    }


def _due_why(outcome: Outcome) -> str | None:
    """Return why the job is due again; None when it has ended."""
    if outcome.status is not JobStatus.PENDING:
        return None
    if outcome.snoozed:
        return "snooze"
    return "resume" if outcome.released else "retry"


def _consequences(session: Session, job: Row, outcome: Outcome) -> dependents.Consequences:
    if outcome.status is JobStatus.PENDING:
        return dependents.Consequences()
    return dependents.fail_dependents(
        session, dependents.Parent(job["id"], job["name"], outcome.status.value)
    )


def _close_execution(
    session: Session,
    execution_id: str,
    result: ExecutionResult,
    status: JobStatus,
    cause: Cause | None,
) -> str | None:
    """Close an open execution; return its job's id, or None when it is not open."""
    known = (result.post_mortem or _UNKNOWN)._asdict()
    row = session.one(
        "settle_execution",
        {
            "execution_id": execution_id,
            "status": status.value,
            "now": session.now,
            "result": result.value,
            "error": storable_value(result.error),
            "cause": cause,
            "interrupted_by": result.interrupted_by,
            "returned_after": result.returned_after,
            **{name: storable_value(value) for name, value in known.items()},
        },
    )
    return None if row is None else str(row["job_id"])
