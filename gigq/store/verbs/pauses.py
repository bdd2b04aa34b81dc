"""The verbs on pauses: pause and resume queues, list the paused ones, keep claims from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.served_queues import EVERY, parse
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigq.model.claim import Claimant
    from gigq.store.database import Database
    from gigq.store.session import Session


@repeated
def pause(db: Database, queues: Iterable[str]) -> list[str]:
    """Pause queues, `"*"` for all; return those that were not paused before.

    A claim that begins after this takes no job of them.
    """
    with db.transaction(durable=True) as session:
        return [
            queue
            for queue in sorted(set(queues))
            if session.run("pause_queue", {"queue": queue, "now": session.now})
        ]


@repeated
def resume(db: Database, queues: Iterable[str] | None = None) -> list[str]:
    """End the pauses of queues, None for every pause; return those that were paused."""
    with db.transaction(durable=True) as session:
        named = [row["queue"] for row in session.all("pauses")] if queues is None else set(queues)
        return [queue for queue in sorted(named) if session.run("resume_queue", {"queue": queue})]


def paused(db: Database) -> dict[str, str]:
    """Return the times at which the paused queues were paused, by queue; `"*"` is all."""
    return {row["queue"]: row["paused_at"] for row in db.all("pauses")}


def pause_of(found: Mapping[str, str], queue: object) -> str | None:
    """Return the pause that holds a queue, its name or `"*"`; None when it is not paused."""
    return next((name for name in (EVERY, queue) if isinstance(name, str) and name in found), None)


def without_paused(session: Session, claimant: Claimant) -> Claimant | None:
    """Return a claimant without the paused queues; None when it serves no other one."""
    names = [row["queue"] for row in session.all("pauses")]
    served = parse(claimant.queues).without(names)
    return claimant._replace(queues=tuple(served.patterns())) if served.serves_any else None
