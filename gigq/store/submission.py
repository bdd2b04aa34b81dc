"""Storing a batch of jobs inside one transaction, with what they wait for."""

from __future__ import annotations

import json
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from gigq.errors import DependencyCycle, MissingParent
from gigq.status import FINISHED, JobStatus
from gigq.store import dependents
from gigq.store.dependents import Parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigq.store.database import Row, Session

DEFAULTS: dict[str, Any] = {
    "queue": "default",
    "priority": 0,
    "created_at": None,
    "retry_after": None,
    "max_attempts": 3,
    "timeout": 300,
    "retry_delay": 0,
    "backoff": None,
    "on_parent_failure": "fail",
    "pass_parent_results": None,
    "unique_key": None,
    "function_file": None,
    "dependencies": "[]",
    "description": "",
    "params": "{}",
    "memory_limit": None,
    "crash_limit": 3,
}
"""What a job's columns are when its row does not say."""

_DONE = JobStatus.COMPLETED.value
_WITHOUT_SUCCESS = frozenset(status.value for status in FINISHED) - {_DONE}


class Submission:
    """1. Stores the rows that are new. 2. Links them to their parents. 3. Applies policies."""

    def __init__(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        self._session = session
        self._rows = [_columns(row, session.now) for row in rows]

    def store(self) -> None:
        """Store all rows, or raise and leave it to the transaction to undo."""
        # All rows stand before the first edge: a parent may come after its dependent.
        new = [row for row in self._rows if self._session.run("insert_job", row)]
        linked = [(row, _parents(row)) for row in new if row["dependencies"] != "[]"]
        _refuse_cycles(linked)
        for row, parents in linked:
            self._link(row, parents)

    def _link(self, row: Row, parents: list[str]) -> None:
        found = {p["id"]: p for p in self._session.all("jobs_by_id", {"ids": json.dumps(parents)})}
        _refuse_missing(row, parents, found)
        ended = [id_ for id_ in parents if found[id_]["status"] in _WITHOUT_SUCCESS]
        # A status that nobody knows is waited for: somebody may still complete that job.
        settled = _WITHOUT_SUCCESS | {_DONE}
        unfinished = [id_ for id_ in parents if found[id_]["status"] not in settled]
        if ended and row["on_parent_failure"] not in {"run", "wait"}:
            self._fail(row, found[ended[0]])
            return
        if row["on_parent_failure"] == "wait":
            unfinished += ended
        edges = [{"parent_id": id_, "job_id": row["id"]} for id_ in unfinished]
        if edges:
            self._session.many("insert_edge", edges)
            self._session.run("set_unmet", {"job_id": row["id"], "unmet": len(edges)})

    def _fail(self, row: Row, parent: Row) -> None:
        error = dependents.reason(Parent(parent["id"], parent["name"], parent["status"]))
        job = {"job_id": row["id"], "error": error, "now": self._session.now}
        self._session.run("cut_off_job", job)
        dependents.cut_off(self._session, Parent(row["id"], row["name"], "failed"))


def _columns(row: Mapping[str, Any], now: str) -> Row:
    columns = {**DEFAULTS, **row, "now": now}
    columns["created_at"] = columns["created_at"] or now
    if not isinstance(columns["dependencies"], str):
        columns["dependencies"] = json.dumps(list(columns["dependencies"] or ()))
    return columns


def _parents(row: Row) -> list[str]:
    # A parent that is named twice is waited for once.
    return list(dict.fromkeys(json.loads(row["dependencies"])))


def _refuse_missing(row: Row, parents: list[str], found: Mapping[str, Row]) -> None:
    missing = [id_ for id_ in parents if id_ not in found]
    if missing:
        raise MissingParent(
            f"job {row['name']!r} ({row['id']}) depends on {missing[0]!r}, which is not stored; "
            "submit the parent first, or both in one batch"
        )


def _refuse_cycles(linked: list[tuple[Row, list[str]]]) -> None:
    graph = {row["id"]: parents for row, parents in linked}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        names = {row["id"]: row["name"] for row, _ in linked}
        path = " -> ".join(repr(names[id_]) for id_ in error.args[1])
        raise DependencyCycle(f"jobs wait for each other: {path}; remove one of these") from None
