"""The verbs on claims: claim, settle, exchange (both in one transaction), adopt, overdue.

Every change is guarded by the job's status and its execution id. Zero changed rows are an outcome
and not an error: another process was first, and the verb returns None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gigq.model import clock
from gigq.model.claim import ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.model.job import DEFAULT_TIMEOUT
from gigq.model.job_status import JobStatus
from gigq.model.retry_decision import decide
from gigq.model.runs import is_of_plain_worker
from gigq.model.served_queues import parse
from gigq.model.storable_text import storable_list
from gigq.store.database import UnreadableText
from gigq.store.verbs import claim as claiming
from gigq.store.verbs import processes, rows_of_other_programs
from gigq.store.verbs import settle as settling
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigq.model.claim import Claimant, ExpiredJob, Settled
    from gigq.model.execution_result import ExecutionResult
    from gigq.model.retry_decision import Outcome
    from gigq.store.database import Database, Row, Session


class Exchanged(NamedTuple):
    """The effects of one exchange.

    Attributes:
        settled: the effects of each claim of the batch, the finished ones first; None for one that
            is not its job's current execution any more.
        claimed: the rows of the claimed jobs, each with its execution id, in the order in which to
            run them.
        expired: the pending jobs that have ended because their time was over.
    """

    settled: list[Settled | None]
    claimed: list[Row]
    expired: list[ExpiredJob]


def claim(db: Database, claimant: Claimant, execution_id: str) -> Row | None:
    """Claim the best due job: it becomes running and gets an open execution.

    Best is the highest priority, then the oldest. Delayed jobs whose time has come count as due.

    Returns:
        The job's row, its execution id included; None when nothing is due.
    """
    rows = exchange(db, SettleBatch(), claimant, ClaimRequest(execution_id)).claimed
    return rows[0] if rows else None


@repeated
def settle(
    db: Database, execution_id: str, result: ExecutionResult, unless_leased: str | None = None
) -> Settled | None:
    """Record the outcome of an execution and its effects on the job and its dependents.

    Args:
        db: the database.
        execution_id: the execution.
        result: its outcome.
        unless_leased: the run that executes it, if nothing but the end of its lease says that it
            is dead: it may have renewed the lease by now.

    Returns:
        None when the job has another current execution or none, or the lease goes on; then the job
        is unchanged.
    """
    with db.transaction(durable=False) as session:
        if unless_leased is not None and processes.has_lease(session, unless_leased):
            return None
        return settling.settle(session, execution_id, result)


def final_outcome(db: Database, execution_id: str, result: ExecutionResult) -> Outcome | None:
    """Return what a result will record when no attempt follows; nothing is changed.

    Returns:
        None when the job is tried again, or has another current execution or none.
    """
    job = db.one("job_to_decide", {"execution_id": execution_id})
    outcome = decide(result, job, db.now()) if job else None
    return None if outcome is None or outcome.status is JobStatus.PENDING else outcome


def exchange(
    db: Database, batch: SettleBatch, claimant: Claimant | None, request: ClaimRequest | None
) -> Exchanged:
    """Settle finished claims, release unstarted ones and claim due jobs, in one transaction.

    A claim ends pending jobs that have expired first.

    Args:
        db: the database.
        batch: the claims to settle and to release.
        claimant: the worker that claims; None to claim nothing.
        request: the amount of work that it asks for.
    """
    first = _exchange(db, batch, claimant, request)
    if (
        claimant
        and request
        and not first.claimed
        and request.may_claim()
        and rows_of_other_programs.release_done(db)
    ):
        _, rows, expired = _exchange(db, SettleBatch(), claimant, request)
        return Exchanged(first.settled, rows, [*first.expired, *expired])
    return first


@repeated
def _exchange(
    db: Database, batch: SettleBatch, claimant: Claimant | None, request: ClaimRequest | None
) -> Exchanged:
    durable, together, again = db.durable, True, False
    while True:
        try:
            with db.transaction(durable=durable) as session:
                done = _settle_batch(session, batch, together=together)
                if claimant is None or request is None or not request.may_claim():
                    return Exchanged(done, [], [])
                expired, unpaused = claiming.prepare(session, claimant)
                if unpaused is None:
                    return Exchanged(done, [], expired)
                rows = claiming.take(session, unpaused, request, durable=durable)
                return Exchanged(done, rows, expired)
        except claiming.MustBeDurable:
            durable = True
        except settling.Contended:
            together = False
        except UnreadableText:
            # Nothing was changed, and the connection now reads such text leniently.
            if again:
                raise
            again = True


@repeated
def release(db: Database, claims: Sequence[tuple[str, str]]) -> list[Settled | None]:
    """Undo claims of jobs that have not started: they are due again, with no attempt used.

    Args:
        db: the database.
        claims: the execution and the job of each.

    Returns:
        The effects of each; None when its job has another current execution or none, and is
        unchanged.
    """
    with db.transaction(durable=False) as session:
        if len(claims) > 1:
            session.lock("jobs", {"ids": storable_list(job_id for _, job_id in claims)})
        return settling.release_together(session, claims)


@repeated
def adopt(db: Database, job_id: str, execution_id: str, claimant: Claimant) -> Row | None:
    """Take over a claim that foreign SQL made, so that it can be settled like any other.

    Foreign SQL may have marked the job running, with an execution of its own or with none, or
    may have picked a due job and changed nothing.

    Returns:
        The job's row; None when another process has the job.
    """
    with db.transaction(durable=True) as session:
        who = {"worker_id": claimant.worker_id, "execution_id": execution_id, "now": session.now}
        job = session.one("adopt_job", {**who, "job_id": job_id})
        if job is not None:
            opened = {"job_id": job_id, "attempt": job["attempts"], "run": claimant.run}
            opened |= claiming.waiting(job)
            if not session.run("adopt_execution", {**who, **opened}):
                claiming.open_execution(session, {**who, **opened})
        return job


def request_cancel(session: Session, job_id: str) -> bool:
    """Request the cancel of a running job inside a transaction: it gets no further attempt.

    The job still completes if its function returns.

    Returns:
        False when the job is unknown or does not run; then nothing changed.
    """
    return session.run("request_cancel", {"job_id": job_id, "now": session.now}) > 0


def cancel_requests(db: Database) -> list[Row]:
    """Return the open executions with a cancel request: `execution_id`, `run`, `worker_id`."""
    return _named(db.all("cancel_requests"))


def is_cancel_requested(db: Database, execution_id: str) -> bool:
    """Return True when the execution is open and its cancel is requested."""
    return db.one("is_cancel_requested", {"execution_id": execution_id}) is not None


def open_executions(db: Database) -> list[Row]:
    """Return every open execution, with the `name`, `queue` and `timeout` of its job."""
    return _named(db.all("open_executions"))


def overdue(db: Database) -> list[Row]:
    """Return open executions of plain workers that have run longer than the job's timeout.

    A daemon's executions are left out: its supervisor ends them. A job that foreign SQL marked
    running without an execution gets one here, once it is overdue. An execution without a run
    whose job has no timeout gets GigQ's default timeout: no process can say whether it runs.
    """
    now = db.now()
    _adopt_strays(db, now)
    plain = [_limited(row) for row in open_executions(db) if is_of_plain_worker(row["run"])]
    return [row for row in plain if _is_over(row, now)]


def next_due_at(db: Database, queues: tuple[str, ...] | None = None, after: str = "") -> str | None:
    """Return the earliest time at which a delayed job becomes due; None when no job is delayed.

    A job whose `retry_after` foreign SQL has set to no valid time fails if it hides the others.

    Args:
        db: the database.
        queues: only jobs of these queues, given as `gigq.model.served_queues` reads them.
        after: only times later than this one.
    """
    due_at = _earliest(db, queues, after)
    if due_at is None or clock.is_time(due_at):
        return due_at
    with db.transaction(durable=False) as session:
        for job in session.all("delayed_without_time", {"earliest": due_at}):
            settling.fail_unreadable(session, job, "retry_after", "which is no time")
    due_at = _earliest(db, queues, after)
    return due_at if clock.is_time(due_at) else None


def _earliest(db: Database, queues: tuple[str, ...] | None, after: str) -> str | None:
    served = parse(queues)
    names = storable_list(served.names)
    if served.is_everything:
        row = db.one("next_due_at", {"after": after})
    elif served.all_but:
        row = db.one("next_due_at_in_other_queues", {"excluded": names, "after": after})
    else:
        row = db.one("next_due_at_in_queues", {"queues": names, "after": after})
    return row["due_at"] if row else None


def anything_due(db: Database, queues: tuple[str, ...] | None = None) -> bool:
    """Return True when a due job is there.

    A delayed job counts once a claim or the recorder has made it due.

    Args:
        db: the database.
        queues: only jobs of these queues, given as `gigq.model.served_queues` reads them.
    """
    served = parse(queues)
    if served.is_everything:
        return db.one("anything_due") is not None
    if served.all_but:
        return any(map(served.serves, queues_with_due_jobs(db)))
    queues_ = storable_list(served.names)
    return db.one("anything_due_in_queues", {"queues": queues_}) is not None


def queues_with_due_jobs(db: Database) -> list[str]:
    """Return the unpaused queues with due jobs; delayed jobs count as in `anything_due`."""
    return [row["queue"] for row in db.all("queues_with_due_jobs")]


def queues_with_delayed_jobs(db: Database, now: str) -> list[str]:
    """Return the queues of delayed jobs whose time has come; of very many jobs the first."""
    return [row["queue"] for row in db.all("queues_with_delayed_jobs", {"now": now})]


def _settle_batch(session: Session, batch: SettleBatch, *, together: bool) -> list[Settled | None]:
    finished = batch.finished
    plain = settling.plain_ones(finished) if together and len(finished) > 1 else []
    if len(finished) + len(batch.released) > 1 and (len(plain) < len(finished) or batch.released):
        claims = [*(one.claim for one in finished), *batch.released]
        session.lock("jobs", {"ids": storable_list(claim.job_id for claim in claims)})
    if plain:
        done = settling.settle_together(session, finished, plain)
    else:
        done = [settling.settle(session, one.claim.execution_id, one.result) for one in finished]
    released = [(claim.execution_id, claim.job_id) for claim in batch.released]
    return [*done, *settling.release_together(session, released)]


def _named(rows: list[Row]) -> list[Row]:
    """Return the rows whose id is text; foreign SQL may have stored others."""
    return [row for row in rows if isinstance(row["execution_id"], str)]


def _limited(row: Row) -> Row:
    if row["timeout"] is None and row["run"] is None:
        return {**row, "timeout": DEFAULT_TIMEOUT}
    return row


def _is_over(row: Row, now: str) -> bool:
    # Foreign SQL may have written any value: a limit that is no number counts as none.
    if not isinstance(row["timeout"], int | float) or not clock.is_time(row["started_at"]):
        return False
    return clock.after(row["started_at"], row["timeout"]) <= now


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
        opened |= {"due_at": None, "due_why": None}
        claiming.open_execution(session, {**ids, **opened, "now": stray["started_at"]})
