"""Claims of due jobs inside a transaction: the best one, or several short ones at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.ids import new_ids
from gigq.model.served_queues import parse
from gigq.model.storable_text import storable_list
from gigq.store.verbs import expiry, pauses, rows_of_other_programs

if TYPE_CHECKING:
    from gigq.model.claim import Claimant, ClaimRequest, ExpiredJob
    from gigq.model.served_queues import ServedQueues
    from gigq.store.database import Row, Session


_NEEDED = (
    *("id", "queue", "params", "dependencies"),
    *("function_module", "function_name", "function_file"),
)
"""The columns that a worker needs to run a job."""

_MOST_COMPARED = 4096
"""Limits the jobs of a batch from many queues: as many jobs of each queue are compared."""

_REPLACEMENT = "\ufffd"

_NO_ID = "gigq.errors.UnreadableJob: the column id of the job holds text that is not UTF-8"


class MustBeDurable(Exception):  # noqa: N818 - a signal between two tries, never seen outside
    """A due job with a single attempt, whose claim must survive a power cut."""


class Prepared(NamedTuple):
    """The preparation of the claims of a transaction.

    Attributes:
        expired: the jobs that have expired. There may be more of them, which no claim takes.
        claimant: the claimant without the queues that are paused; None when it serves no other.
    """

    expired: list[ExpiredJob]
    claimant: Claimant | None


def prepare(session: Session, claimant: Claimant) -> Prepared:
    """Prepare claims: link new rows, end expired jobs, promote delayed ones, see pauses."""
    needs = _needs(session)
    if needs["unlinked"]:
        rows_of_other_programs.link(session)
        needs = _needs(session)
    expired = expiry.expire(session) if needs["expired"] else []
    if expired:
        needs = _needs(session)  # a dependent may only wait for its time now
    if needs["promotable"]:
        session.run("promote_delayed", {"now": session.now})
    unpaused = pauses.without_paused(session, claimant) if needs["paused"] else claimant
    return Prepared(expired, unpaused)


def take(
    session: Session, claimant: Claimant, request: ClaimRequest, *, durable: bool
) -> list[Row]:
    """Claim the best due job, or the best few when they are short.

    A worker claims no more than its fair share.

    Raises:
        MustBeDurable: the job must be claimed in a durable transaction.
    """
    if request.most > 1 and not request.unknown:
        rows = _companions(session, claimant, request)
        if len(rows) > 1:
            return _take_several(session, claimant, request, rows)
    row = _take_one(session, claimant, request, durable=durable)
    return [] if row is None else [row]


def open_execution(session: Session, execution: Row) -> None:
    """Open the execution of a job that has just been claimed.

    Args:
        session: the transaction.
        execution: its values; `due_at` and `due_why` are those of the job.
    """
    if session.run("open_execution", execution):
        return
    # Foreign SQL made the job pending while an execution was open, which is not current then.
    session.run("supersede_execution", {"job_id": execution["job_id"], "now": session.now})
    session.run("open_execution", execution)


def _needs(session: Session) -> Row:
    row = session.one("needs_before_claim", {"now": session.now})
    assert row is not None
    return row


def _take_one(
    session: Session, claimant: Claimant, request: ClaimRequest, *, durable: bool
) -> Row | None:
    who = {"worker_id": claimant.worker_id, "execution_id": request.first_id, "now": session.now}
    job = _take_best(session, parse(claimant.queues), who, request.unknown)
    if job is None:
        return None
    row = job.pop("row")
    if session.reads_leniently and not _restore_bytes(session, job, row):
        session.run("fail_unreadable_job", {"row": row, "error": _NO_ID, "now": session.now})
        return job
    if job["max_attempts"] == 1 and not durable:
        raise MustBeDurable
    opened = {"job_id": job["id"], "attempt": job["attempts"], "run": claimant.run}
    open_execution(session, {**who, "now": job["started_at"], **opened, **waiting(job)})
    return job


def waiting(job: Row) -> Row:
    """Return the time at which a job became due, and why then, for its execution."""
    return {"due_at": job["due_at"], "due_why": job["due_why"]}


def _restore_bytes(session: Session, job: Row, row: int) -> bool:
    """Restore the bytes of text that is not UTF-8; return False when the id is such text.

    The connection decoded it with replacements. A job must not run with those, and cannot be
    found by such an id.
    """
    if not _may_be_replaced(job):
        return True
    for name, raw in (session.one("needed_bytes", {"row": row}) or {}).items():
        if isinstance(raw, bytes) and not _is_utf_8(raw):
            job[name] = raw
    return isinstance(job["id"], str)


def _may_be_replaced(row: Row) -> bool:
    """Return True when text that a worker needs may have been decoded with replacements.

    This runs for every job of a batch, so it calls no function.
    """
    for name in _NEEDED:
        value = row[name]
        if value.__class__ is str and _REPLACEMENT in value:
            return True
    return False


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _take_best(
    session: Session, served: ServedQueues, who: dict[str, str], unknown: tuple[str, ...]
) -> Row | None:
    form, names = "", list(served.names)
    if unknown:
        form, who = "_of_known", {**who, "unknown": storable_list(unknown)}
    if served.all_but:
        where = {**who, "excluded": storable_list(names)}
        return session.one(f"claim_from_every_queue{form}", where)
    if len(names) == 1:
        return session.one(f"claim_from_queue{form}", {**who, "queue": names[0]})
    return session.one(f"claim_from_queues{form}", {**who, "queues": storable_list(names)})


def _companions(session: Session, claimant: Claimant, request: ClaimRequest) -> list[Row]:
    """Return the best due jobs, in order, up to the first that must be claimed alone."""
    queues, due = _due(session, claimant, request.most * request.sharers)
    share = -(-due // request.sharers)
    most = min(request.most, _MOST_COMPARED // max(1, len(queues)))
    if share < 2 or len(queues) > most:
        return []
    rows = session.best_due(queues, min(share, most))
    may_differ = session.reads_leniently
    for number, row in enumerate(rows):
        if not _fits(row, request) or (may_differ and _may_be_replaced(row)):
            return rows[:number]
    return rows


def _due(session: Session, claimant: Claimant, limit: int) -> tuple[list[str], int]:
    """Return the names of the served queues and the number of their due jobs, up to a limit.

    There are none when a name cannot be a parameter.
    """
    served, due = parse(claimant.queues), None
    names: list[Any] = [*served.names]
    if served.all_but:
        names, due = session.queues_with_due_jobs(served.names, limit)
        # Foreign SQL may have written bytes, or text that was decoded with replacements.
        if not all(isinstance(name, str) and _REPLACEMENT not in name for name in names):
            return [], 0
    if due is None:
        row = session.one("due_up_to", {"queues": storable_list(names), "limit": limit})
        due = row["due"] if row else 0
    return names, due


def _fits(row: Row, request: ClaimRequest) -> bool:
    """Return True when a job may be claimed with others: it is short, and has another attempt.

    A last attempt is claimed alone: if its worker dies before the outcome is recorded, the job
    gets no other.
    """
    attempts, most = row["attempts"], row["max_attempts"]
    if not (isinstance(attempts, int) and isinstance(most, int)):
        return False
    return attempts + 1 < most and request.fits(row)


def _take_several(
    session: Session, claimant: Claimant, request: ClaimRequest, rows: list[Row]
) -> list[Row]:
    ids = [request.first_id, *new_ids(len(rows) - 1)]
    chosen = dict(zip(ids, rows, strict=True))
    who = {"worker_id": claimant.worker_id, "run": claimant.run}
    is_done = session.open_and_claim(_row_numbers(chosen), who)
    who["now"] = session.now
    if not is_done:
        _open_the_others(session, chosen, who)
        session.run("claim_rows", {**who, "taken": json.dumps(_row_numbers(chosen))})
    return _as_claimed(chosen, who)


def _open_the_others(session: Session, chosen: dict[str, Row], who: Row) -> None:
    """Open the executions of jobs for which foreign SQL left an old one open."""
    left = {
        id_: row
        for id_, row in chosen.items()
        if session.run("supersede_others", {**who, "job_id": row["id"], "execution_id": id_})
    }
    session.run("open_executions_of_rows", {**who, "taken": json.dumps(_row_numbers(left))})


def _row_numbers(chosen: dict[str, Row]) -> dict[str, int]:
    return {id_: row["row"] for id_, row in chosen.items()}


def _as_claimed(chosen: dict[str, Row], who: Row) -> list[Row]:
    now = who["now"]
    same = {"started_at": now, "updated_at": now, "worker_id": who["worker_id"]}
    same["status"] = "running"
    return [
        {**row, **same, "attempts": row["attempts"] + 1, "execution_id": id_}
        for id_, row in chosen.items()
    ]
