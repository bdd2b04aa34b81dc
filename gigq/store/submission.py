"""Storing a batch of jobs inside one transaction, with what they wait for."""

from __future__ import annotations

import json
from graphlib import CycleError, TopologicalSorter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from gigq.errors import DependencyCycle, MissingParent
from gigq.status import FINISHED, JobStatus
from gigq.store import dependents
from gigq.store.dependents import Parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    "unmet": 0,
}
"""What a job's columns are when its row does not say."""

COLUMNS = (
    *("id", "name", "queue", "priority", "created_at", "now", "retry_after", "max_attempts"),
    *("timeout", "retry_delay", "backoff", "on_parent_failure", "pass_parent_results"),
    *("unique_key", "function_module", "function_name", "function_file", "dependencies"),
    *("description", "params", "memory_limit", "crash_limit", "unmet"),
)
"""The values of the statement `insert_job`, in its order."""

values = itemgetter(*COLUMNS)
"""What to bind to that statement, of the columns of one job."""

_PENDING = JobStatus.PENDING.value
_DONE = JobStatus.COMPLETED.value
_WITHOUT_SUCCESS = frozenset(status.value for status in FINISHED) - {_DONE}
_SETTLED = _WITHOUT_SUCCESS | {_DONE}


class Submission:
    """1. Settles who waits for whom. 2. Stores the rows that are new. 3. Applies policies."""

    def __init__(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        self._session = session
        self._rows = [columns(row, session.now) for row in rows]
        self._edges: list[Row] = []
        self._cut_off: list[tuple[Row, Row]] = []

    def store(self) -> None:
        """Store all rows, or raise and leave it to the transaction to undo."""
        if any(row["dependencies"] != "[]" for row in self._rows):
            self._link_all()
        self._session.many("insert_job", map(values, self._rows))
        self._session.many("insert_edge", self._edges)
        # All rows and edges stand before the first end: it may take others of the batch along.
        for row, parent in self._cut_off:
            self._fail(row, parent)

    def _link_all(self) -> None:
        first: dict[str, Row] = {}
        for row in self._rows:
            first.setdefault(row["id"], row)
        named = {id_: _parents(row) for id_, row in first.items() if row["dependencies"] != "[]"}
        stored = self._stored(named.keys() | {id_ for parents in named.values() for id_ in parents})
        linked = [(first[id_], parents) for id_, parents in named.items() if id_ not in stored]
        _refuse_cycles(linked)
        pending = {id_: {**row, "status": _PENDING} for id_, row in first.items()}
        found = {**pending, **stored}
        for row, parents in linked:
            _refuse_missing(row, parents, found)
            self._link(row, parents, found)

    def _stored(self, ids: Iterable[str]) -> dict[str, Row]:
        rows = self._session.all("jobs_by_id", {"ids": json.dumps(list(ids))})
        return {row["id"]: row for row in rows}

    def _link(self, row: Row, parents: list[str], found: Mapping[str, Row]) -> None:
        ended = [id_ for id_ in parents if found[id_]["status"] in _WITHOUT_SUCCESS]
        # A status that nobody knows is waited for: somebody may still complete that job.
        unfinished = [id_ for id_ in parents if found[id_]["status"] not in _SETTLED]
        if ended and row["on_parent_failure"] not in {"run", "wait"}:
            self._cut_off.append((row, found[ended[0]]))
            found[row["id"]]["status"] = "failed"
            return
        if row["on_parent_failure"] == "wait":
            unfinished += ended
        self._edges += [{"parent_id": id_, "job_id": row["id"]} for id_ in unfinished]
        row["unmet"] = len(unfinished)

    def _fail(self, row: Row, parent: Row) -> None:
        error = dependents.reason(Parent(parent["id"], parent["name"], parent["status"]))
        job = {"job_id": row["id"], "error": error, "now": self._session.now}
        self._session.run("cut_off_job", job)
        dependents.cut_off(self._session, Parent(row["id"], row["name"], "failed"))


def columns(row: Mapping[str, Any], now: str) -> Row:
    """Every column of a new job, with the defaults for what its row does not say."""
    full = {**DEFAULTS, **row, "now": now}
    if not full["created_at"]:
        full["created_at"] = now
    parents = full["dependencies"]
    if not isinstance(parents, str):
        full["dependencies"] = json.dumps(list(parents)) if parents else "[]"
    return full


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
