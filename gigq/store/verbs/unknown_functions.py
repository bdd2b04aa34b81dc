"""The verbs on functions that a process could not find, inside a transaction.

Each process that runs jobs notes them under its run. A job of such a function waits for a process
that knows it, without a used attempt, and ends when none has come.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model import clock
from gigq.model.served_queues import parse
from gigq.model.storable_text import storable
from gigq.model.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigq.model.execution_result import ExecutionResult, UnknownFunction
    from gigq.store.database import Database, Row, Session

_FRESH = 180.0
"""Seconds for which a note counts; a process that still meets jobs of the function renews it."""

_KEPT = 3600.0


class Noted(NamedTuple):
    """The effects of a note.

    Attributes:
        is_first: True when the run had no fresh note of the function.
        error: the error with which the job ends; None when it waits.
    """

    is_first: bool
    error: str | None


def note(session: Session, job: Row, execution_id: str, result: ExecutionResult) -> Noted:
    """Note that a process has not found the function of a job that it has started.

    Args:
        session: the transaction.
        job: the job.
        execution_id: its execution.
        result: the result of the attempt; it names the function.
    """
    unknown = result.unknown
    execution = session.one("run_of_execution", {"execution_id": execution_id})
    if unknown is None or execution is None:
        return Noted(is_first=False, error=None)
    now = session.now
    which = {"run": execution["run"], "module": unknown.module, "name": unknown.name}
    text = storable(result.error or "").strip().partition("\n")[0]
    since = _since(session, which, {"host": unknown.host, "now": now, "error": text})
    is_first = since == now
    if is_first:
        session.run("forget_unknown_functions", {"before": clock.after(now, -_KEPT)})
    long_ago = clock.after(now, -unknown.wait)
    if since > long_ago or _due_at(execution, now) > long_ago:
        return Noted(is_first, None)
    asked = [row for row in listed(session) if _is_of(row, unknown.module, unknown.name)]
    if _are_unasked(session, job, {row["run"] for row in asked}):
        return Noted(is_first, None)
    return Noted(is_first, _end(asked, unknown, text))


def _since(session: Session, which: Row, known: Row) -> str:
    """Write a note; return since when the run has not found the function, now for the first time.

    The insertion comes first: of two workers of a daemon one is the first.
    """
    now: str = known["now"]
    if session.run("add_unknown_function", {**which, **known}):
        return now
    before = session.one("unknown_function", which)
    is_fresh = before is not None and before["seen_at"] > fresh_after(now)
    since: str = before["since"] if before is not None and is_fresh else now
    session.run("renew_unknown_function", {**which, **known, "since": since})
    return since


def listed(session: Session | Database) -> list[Row]:
    """Return the fresh notes of all processes, by function and host."""
    now = session.now if isinstance(session.now, str) else session.now()
    return session.all("unknown_functions", {"after": fresh_after(now)})


def fresh_after(now: str) -> str:
    """Return the time since which a note must have been renewed to count."""
    return clock.after(now, -_FRESH)


def shown(rows: Iterable[Any]) -> tuple[str, ...]:
    """Return the functions of some notes, each with its hosts, in words."""
    hosts: dict[str, dict[str, None]] = {}
    for row in rows:
        function = f"{row['module']}:{row['name']}"
        hosts.setdefault(function, {})[str(row["host"])] = None
    return tuple(f"{function} (on {', '.join(on)})" for function, on in hosts.items())


def _is_of(row: Row, module: str, name: str) -> bool:
    return (row["module"], row["name"]) == (module, name)


def _due_at(execution: Row, now: str) -> str:
    """Return since when the job waits; foreign SQL may have stored no time."""
    due_at = execution["due_at"]
    return str(due_at) if clock.is_time(due_at) else now


def _are_unasked(session: Session, job: Row, asked: set[Any]) -> bool:
    """Return True when a daemon with a lease may still start the job, and know its function.

    All daemons of a file run on one host, where none is waited for.
    """
    return any(
        row["run"] not in asked
        and (row["lease_ends_at"] or "") > session.now
        and _serves(row["info"], job["queue"])
        for row in session.all("processes")
    )


def _serves(info: str, queue: object) -> bool:
    pools = json.loads(info).get("pools", ())
    return any(pool["size"] and parse(pool["queues"]).serves(queue) for pool in pools)


def _end(asked: list[Row], unknown: UnknownFunction, said: str) -> str:
    hosts = ", ".join(dict.fromkeys(str(row["host"]) for row in asked))
    kind, _, why = said.partition(": ")
    return (
        f"{kind}: no daemon knew the function {unknown.module}:{unknown.name} for "
        f"{format_duration(unknown.wait)}; hosts asked: {hosts}. The last one: {why}"
    )
