"""Insertion of a batch of jobs and their dependencies, inside one transaction."""

from __future__ import annotations

import json
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.errors import DependencyCycle, MissingParent
from gigq.status import WITHOUT_SUCCESS, JobStatus
from gigq.store import dependents
from gigq.store.dependents import Parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigq.claim import CutOff
    from gigq.store.database import Row, Session

    Values = tuple[Any, ...]

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
    "workflow": None,
    "unmet": 0,
}
"""The values of columns that a job's row does not give."""

OWN = ("id", "name", "dependencies", "params", "description", "created_at", "now")
"""The columns in which the jobs of a batch usually differ."""

ALIKE = (
    *("on_parent_failure", "queue", "priority", "retry_after", "max_attempts", "timeout"),
    *("retry_delay", "backoff", "pass_parent_results", "unique_key", "function_module"),
    *("function_name", "function_file", "memory_limit", "crash_limit", "workflow", "unmet"),
)
"""The columns that are usually equal in a batch."""

COLUMNS = OWN + ALIKE
"""The parameters of the statement `insert_job`, in its order."""

values = itemgetter(*COLUMNS)
"""Return a job's values for that statement."""

_ID, _NAME = COLUMNS.index("id"), COLUMNS.index("name")
_POLICY, _QUEUE = COLUMNS.index("on_parent_failure"), COLUMNS.index("queue")

_queue = itemgetter(_QUEUE)

_PENDING = JobStatus.PENDING.value
_FAILED = JobStatus.FAILED.value
_DONE = JobStatus.COMPLETED.value
_SETTLED = WITHOUT_SUCCESS | {_DONE}


class Stored(NamedTuple):
    """The effects of storing a batch of jobs.

    Attributes:
        due_in: number of jobs that became due, by queue.
        cut_off: the jobs that failed at once, because a parent had ended without success.
    """

    due_in: Mapping[str, int]
    cut_off: tuple[CutOff, ...]


class Submission:
    """The insertion of a batch: resolve parents, store the new rows, apply failure policies.

    Args:
        session: the transaction.
        rows: the values of `COLUMNS` for each job; of two rows with one id the first counts.
        waits: the ids of the parents of each job that has some, by its index in `rows`.
    """

    def __init__(
        self, session: Session, rows: list[Values], waits: Mapping[int, list[str]]
    ) -> None:
        self._session = session
        self._rows = rows
        self._waits = waits
        self._edges: list[tuple[str, str]] = []
        self._cut_off: list[tuple[str, Parent]] = []
        # Name and status of every job that may be a parent.
        self._known: dict[str, tuple[str, str]] = {}

    def store(self) -> Stored:
        """Store all rows; after an error the caller's transaction is rolled back."""
        if self._waits:
            self._link_all()
        self._session.many("insert_job", self._rows)
        if self._edges:
            self._session.many("insert_edge", self._edges)
        # All rows and edges first: a job that fails here may fail others of the batch.
        after = [self._fail(*one) for one in self._cut_off]
        cut_off = tuple(failed for one in after for failed in one.cut_off)
        if len(self._rows) == 1 and not self._waits:  # a Counter takes as long as the insert
            return Stored({self._rows[0][_QUEUE]: 1}, cut_off)
        if not self._waits:
            return Stored(Counter(map(_queue, self._rows)), cut_off)
        # A job that was cut off counts as well: one wakeup too many.
        due = [row[_QUEUE] for row in self._rows if not row[-1]]
        return Stored(Counter([*(queue for one in after for queue in one.due_in), *due]), cut_off)

    def _link_all(self) -> None:
        first = {row[_ID]: place for place, row in reversed(list(enumerate(self._rows)))}
        # A job waits once for a parent that it names twice.
        named = {
            place: list(dict.fromkeys(parents))
            for place, parents in self._waits.items()
            if first[self._rows[place][_ID]] == place
        }
        stored = self._stored(named)
        linked = {p: parents for p, parents in named.items() if self._rows[p][_ID] not in stored}
        self._refuse_cycles(linked, first)
        self._known = {
            id_: (self._rows[place][_NAME], _PENDING) for id_, place in first.items()
        } | {row["id"]: (row["name"], row["status"]) for row in stored.values()}
        for place, parents in linked.items():
            self._link(place, parents)

    def _stored(self, named: Mapping[int, list[str]]) -> dict[str, Row]:
        ids = {self._rows[place][_ID] for place in named}
        ids.update(*named.values())
        rows = self._session.all("jobs_by_id", {"ids": json.dumps(list(ids))})
        return {row["id"]: row for row in rows}

    def _link(self, place: int, parents: list[str]) -> None:
        row, known = self._rows[place], self._known
        if not all(parent in known for parent in parents):
            _refuse_missing(row, parents, known)
        # A job waits for a parent with an unknown status: foreign SQL may still complete it.
        unfinished = [id_ for id_ in parents if known[id_][1] not in _SETTLED]
        if len(unfinished) < len(parents):
            ended = [id_ for id_ in parents if known[id_][1] in WITHOUT_SUCCESS]
            if ended and row[_POLICY] not in {"run", "wait"}:
                self._cut_off.append((row[_ID], Parent(ended[0], *known[ended[0]])))
                known[row[_ID]] = row[_NAME], _FAILED
                return
            if row[_POLICY] == "wait":
                unfinished += ended
        self._edges += [(parent, row[_ID]) for parent in unfinished]
        self._rows[place] = (*row[:-1], len(unfinished))

    def _fail(self, job_id: str, parent: Parent) -> dependents.Consequences:
        job = {"job_id": job_id, "error": dependents.reason(parent), "now": self._session.now}
        self._session.run("cut_off_job", job)
        name, status = self._known[job_id]
        after = dependents.cut_off(self._session, Parent(job_id, name, status))
        failed = dependents.failed_by(parent, job_id, name)
        return dependents.Consequences(after.due_in, (failed, *after.cut_off))

    def _refuse_cycles(self, linked: Mapping[int, list[str]], first: Mapping[str, int]) -> None:
        # There is no cycle when every parent is before its dependents.
        if all(first.get(id_, -1) < place for place, ids in linked.items() for id_ in ids):
            return
        rows = self._rows
        try:
            TopologicalSorter({rows[p][_ID]: parents for p, parents in linked.items()}).prepare()
        except CycleError as error:
            path = " -> ".join(repr(rows[first[id_]][_NAME]) for id_ in error.args[1])
            raise DependencyCycle(
                f"jobs wait for each other: {path}; remove one of these"
            ) from None


def columns(row: Mapping[str, Any], now: str) -> Row:
    """Return every column of a new job, with defaults for those that its row does not give."""
    full = {**DEFAULTS, **row, "now": now}
    if not full["created_at"]:
        full["created_at"] = now
    parents = full["dependencies"]
    if not isinstance(parents, str):
        full["dependencies"] = json.dumps(list(parents)) if parents else "[]"
    return full


def parents_named(rows: Iterable[Row]) -> dict[int, list[str]]:
    """Return the ids of the parents of each row that names some, by its index."""
    named = ((place, row["dependencies"]) for place, row in enumerate(rows))
    return {place: json.loads(listed) for place, listed in named if listed != "[]"}


def _refuse_missing(row: Values, parents: list[str], known: Mapping[str, Any]) -> None:
    missing = next(id_ for id_ in parents if id_ not in known)
    raise MissingParent(
        f"job {row[_NAME]!r} ({row[_ID]}) depends on {missing!r}, which is not stored; "
        "submit the parent first, or both in one batch"
    )
