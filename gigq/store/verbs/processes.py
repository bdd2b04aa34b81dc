"""The verbs on processes that run jobs: renew a lease, forget a process, list all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model import clock
from gigq.store import schema_versions
from gigq.store.dialect import dialect_of
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.store.database import Database, Row
    from gigq.store.session import Session

_DAY = 86400.0


class Process(NamedTuple):
    """A process that runs jobs.

    Attributes:
        run: its run.
        kind: `gigqd` or `worker`.
        host: the name of its host.
        pid: its process id, as its own processes see it.
        version: the version of its gigq.
        lease: the length of its lease in seconds; None on a file.
        info: what `gigq workers` shows of it, as JSON.
    """

    run: str
    kind: str
    host: str
    pid: int
    version: str
    lease: float | None
    info: str = "{}"


@repeated
def renew(db: Database, process: Process) -> None:
    """Add the row of a process, or renew its lease from the database's time now."""
    with db.transaction(durable=False) as session:
        ends_at = process.lease and clock.after(session.now, process.lease)
        _renew(session, process, ends_at)


@repeated
def show(db: Database, process: Process, is_alive: Callable[[str], bool]) -> None:
    """Add the row of a process on a file, and delete the rows of processes that have ended.

    Args:
        db: the file.
        process: the row.
        is_alive: returns False for the run of a process that has ended.
    """
    with db.transaction(durable=False) as session:
        _renew(session, process, None)
        for row in session.all("processes"):
            if row["run"] != process.run and not is_alive(row["run"]):
                session.run("forget_process", {"run": row["run"]})


def _renew(session: Session, process: Process, lease_ends_at: object) -> None:
    known = schema_versions.latest(dialect_of(session.connection))
    times = {"now": session.now, "lease_ends_at": lease_ends_at}
    session.run("renew_process", {**process._asdict(), **times, "knows_schema": known})


@repeated
def forget(db: Database, run: str) -> None:
    """Delete the row of a process that ends."""
    with db.transaction(durable=False) as session:
        session.run("forget_process", {"run": run})


@repeated
def forget_ended(db: Database, age: float) -> int:
    """Delete the rows of processes without open executions whose leases ended long ago.

    So is one without a lease that has claimed nothing for a day.

    Args:
        db: the database.
        age: how long ago, in seconds.

    Returns:
        The number of deleted rows.
    """
    with db.transaction(durable=False) as session:
        times = {
            "before": clock.after(session.now, -age),
            "unseen_since": clock.after(session.now, -_DAY),
        }
        return session.run("forget_ended_processes", times)


def listed(db: Database) -> list[Row]:
    """Return the rows of all processes, by host, each with its open executions as `running`."""
    running: dict[Any, list[Row]] = {}
    for row in db.all("open_executions"):
        running.setdefault(row["run"], []).append(row)
    return [{**row, "running": running.get(row["run"], [])} for row in db.all("processes")]


def has_lease(session: Session, run: str) -> bool:
    """Return True while the lease of a process goes on; it cannot be renewed in this transaction.

    A process without a row has no lease, and neither has one that has not renewed its lease since
    the server's clock was set back. The lease of one that can renew none goes on.
    """
    row = session.one("lease_of", {"run": run})
    if row is None:
        return False
    if row["lease"] is None:
        return True
    if clock.was_set_back(row["seen_at"], session.now, row["lease"]):
        return False
    return bool(row["lease_ends_at"] > session.now)
