"""What the checker looks at: the ledger and the final database, put together job by job."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from torture.ledger import Line

    Row = Mapping[str, Any] | sqlite3.Row

FINISHED = frozenset({"completed", "failed", "timeout", "cancelled"})
WITHOUT_SUCCESS = FINISHED - {"completed"}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the final database has it; times in seconds since 1970."""

    id: str
    status: str
    attempts: int = 0
    max_attempts: int = 3
    refunds: int = 0
    snoozes: int = 0
    crash_limit: int | None = None
    retry_delay: float = 0.0
    on_parent_failure: str = "fail"
    dependencies: tuple[str, ...] = ()
    execution_id: str | None = None
    cause: str | None = None
    completed_at: float | None = None
    result: str | None = None

    @classmethod
    def of(cls, row: Row) -> JobRow:
        """A job from a row of `jobs`."""
        return cls(
            id=row["id"],
            status=row["status"],
            attempts=row["attempts"],
            max_attempts=row["max_attempts"],
            refunds=row["refunds"],
            snoozes=row["snoozes"],
            crash_limit=row["crash_limit"],
            retry_delay=float(row["retry_delay"]),
            on_parent_failure=row["on_parent_failure"],
            dependencies=tuple(json.loads(row["dependencies"])),
            execution_id=row["execution_id"],
            cause=row["cause"],
            completed_at=_seconds(row["completed_at"]),
            result=row["result"],
        )


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as the final database has it; times in seconds since 1970."""

    id: str
    job: str
    status: str
    started_at: float
    completed_at: float | None = None
    cause: str | None = None
    late: float | None = None

    @classmethod
    def of(cls, row: Row) -> Execution:
        """An execution from a row of `job_executions`."""
        return cls(
            id=row["id"],
            job=row["job_id"],
            status=row["status"],
            started_at=_seconds(row["started_at"]) or 0.0,
            completed_at=_seconds(row["completed_at"]),
            cause=row["cause"],
            late=row["late"],
        )


@dataclass(frozen=True)
class Story:
    """Everything that is known of one job."""

    id: str
    lines: tuple[Line, ...] = ()
    row: JobRow | None = None
    executions: tuple[Execution, ...] = ()
    """In the order of their starts."""

    def of(self, *whats: str) -> list[Line]:
        """The job's lines of some kinds, in the order of the ledger."""
        return [line for line in self.lines if line.what in whats]

    @cached_property
    def starts(self) -> dict[str, Line]:
        """The first start line of each execution that ran, in the order of their times."""
        found: dict[str, Line] = {}
        for line in sorted(self.of("start"), key=lambda line: line.at):
            found.setdefault(str(line.execution), line)
        return found

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What the submitter wanted, from its first intent."""
        intents = self.of("intent")
        return dict(intents[0].data) if intents else {}

    @cached_property
    def success(self) -> Execution | None:
        """The execution that completed it."""
        return next((e for e in self.executions if e.status == "completed"), None)

    def lines_of(self, execution: str) -> list[Line]:
        """What the function itself wrote during one execution, its children's lines left out."""
        return [line for line in self.of("start", "beat", "end") if line.execution == execution]

    def children_of(self, execution: str) -> list[Line]:
        """What the processes wrote that one execution has started."""
        return [line for line in self.of("child") if line.execution == execution]

    def start_of(self, execution: str) -> list[Line]:
        """The start line of an execution, if its function was called at all."""
        start = self.starts.get(execution)
        return [start] if start else []

    def last_sign(self, execution: str) -> Line | None:
        """The last line that the function wrote during an execution: until then it lived."""
        return max(self.lines_of(execution), key=lambda line: line.at, default=None)


@dataclass(frozen=True, slots=True)
class History:
    """A whole run, ready to be checked.

    Attributes:
        lines: the ledger.
        jobs: the rows of `jobs`.
        executions: the rows of `job_executions`.
        integrity: damages of the database.
        foreign_keys: rows that refer to others which are not there.
    """

    lines: Sequence[Line] = ()
    jobs: Sequence[JobRow] = ()
    executions: Sequence[Execution] = ()
    integrity: Sequence[str] = ()
    foreign_keys: Sequence[str] = ()

    def stories(self) -> dict[str, Story]:
        """Every job that a process has recorded, by its id."""
        rows = {row.id: row for row in self.jobs}
        lines: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            if line.job is not None:
                lines[line.job].append(line)
        executions: dict[str, list[Execution]] = defaultdict(list)
        for execution in sorted(self.executions, key=lambda e: e.started_at):
            executions[execution.job].append(execution)
        ids = [*rows, *(set(lines) - set(rows))]
        return {
            id_: Story(id_, tuple(lines[id_]), rows.get(id_), tuple(executions[id_])) for id_ in ids
        }


@dataclass(frozen=True, slots=True)
class Records:
    """What was read from a database."""

    jobs: list[JobRow] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    integrity: list[str] = field(default_factory=list)
    foreign_keys: list[str] = field(default_factory=list)


def waiting_for_ever(stories: dict[str, Story]) -> set[str]:
    """Jobs that may stay pending: they wait, as their policy says, for a parent that failed."""
    found: set[str] = set()
    while more := {
        s.id for s in stories.values() if s.id not in found and _waits(s, stories, found)
    }:
        found |= more
    return found


def _waits(story: Story, stories: dict[str, Story], waiting: set[str]) -> bool:
    if story.row is None or story.row.status != "pending":
        return False
    parents = [stories[id_].row for id_ in story.row.dependencies if id_ in stories]
    kept = story.row.on_parent_failure == "wait"
    return any(
        row.id in waiting or (kept and row.status in WITHOUT_SUCCESS) for row in _some(parents)
    )


def _some(rows: Iterable[JobRow | None]) -> list[JobRow]:
    return [row for row in rows if row is not None]


def _seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
