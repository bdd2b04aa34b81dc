"""The verbs on the output of running attempts that readers on other hosts follow.

A reader requests the output of an attempt, again and again while it reads. The daemon that runs
the attempt answers, and stores what is added. Only a database on a server has readers elsewhere.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, NamedTuple

from gigq.model import clock
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from gigq.store.database import Database, Row

REQUEST_ENDS_AFTER = 10.0
"""Seconds after which a request expires that its reader does not renew."""

STORED, NOT_KEPT, NOT_READABLE = "stored", "not kept", "not readable"
"""The answers of a daemon: it stores the output, may not store it, or cannot read it."""


class Part(NamedTuple):
    """A part of the output of a running attempt.

    Attributes:
        start: the bytes of the output before it.
        content: its bytes.
    """

    start: int
    content: bytes


@repeated
def request(db: Database, execution_id: str) -> bool:
    """Request the output of a running attempt, or renew the request.

    Returns:
        False when the attempt is over.
    """
    with db.transaction(durable=False) as session:
        expires_at = clock.after(session.now, REQUEST_ENDS_AFTER)
        return bool(
            session.run("request_output", {"execution_id": execution_id, "expires_at": expires_at})
        )


def state(db: Database, execution_id: str) -> Row | None:
    """Return the answer to a request, the process that runs the attempt, and the time `now`."""
    with db.read() as session:
        row = session.one("output_request", {"execution_id": execution_id})
        return row and {**row, "now": session.now}


def parts(db: Database, execution_id: str, position: int) -> list[Part]:
    """Return the stored parts of an output that end after a position, in order."""
    rows = db.all("output_parts", {"execution_id": execution_id, "position": position})
    return [Part(row["start"], b64decode(row["content"])) for row in rows]


def requested(db: Database, run: str) -> list[Row]:
    """Return the running attempts of a run whose output is requested."""
    with db.read() as session:
        return session.all("requested_outputs", {"run": run, "now": session.now})


@repeated
def answer(db: Database, execution_id: str, run: str, text: str) -> bool:
    """Answer the request for the output of an attempt that this run has open."""
    params = {"execution_id": execution_id, "run": run, "answer": text}
    with db.transaction(durable=False) as session:
        return bool(session.run("answer_output_request", params))


@repeated
def store(db: Database, execution_id: str, run: str, part: Part, first: int) -> bool:
    """Store a part of the output of a running attempt, and delete others.

    Args:
        db: the database.
        execution_id: the attempt.
        run: the run of the caller.
        part: the part, after which no other is kept.
        first: the start of the first part to keep.

    Returns:
        False when nothing was stored: the request has expired, the attempt is over or superseded,
        or the lease of the run has ended.
    """
    content = b64encode(part.content).decode("ascii")
    params = {"execution_id": execution_id, "run": run, "start": part.start, "first": first}
    with db.transaction(durable=False) as session:
        if not session.run("store_output_part", {**params, "content": content, "now": session.now}):
            return False
        session.run("drop_output_parts", params)
        return True


@repeated
def forget_expired(db: Database) -> int:
    """Delete the requests that have expired, with the stored parts; return their number."""
    with db.transaction(durable=False) as session:
        return session.run("forget_output_requests", {"now": session.now})
