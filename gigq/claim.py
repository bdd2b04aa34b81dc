"""A claim as a value: who asks for work, what was handed out, what came of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.functions import FunctionRef

_EMPTY = ("{}", "[]", None)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigq.outcome import Ending
    from gigq.status import JobStatus


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims.

    Attributes:
        worker_id: the worker's name, as stored and shown.
        run: the liveness run of the process that answers for the execution.
        queues: the queues it serves; None means every queue.
    """

    worker_id: str
    run: str
    queues: tuple[str, ...] | None = None


class Claim(NamedTuple):
    """One job handed to one worker for one attempt. The execution id is the fencing token.

    Times are in seconds and sizes in bytes; None is no limit, for memory that of the pool.
    """

    job_id: str
    execution_id: str
    name: str
    function: FunctionRef
    params: dict[str, Any]
    attempt: int
    max_attempts: int
    timeout: float | None
    dependencies: tuple[str, ...]
    pass_parent_results: bool | None
    queue: str
    worker_id: str
    memory_limit: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Claim:
        """Build a claim from a row of `jobs` with its execution id.

        The row may come from a subclass that claims with its own SQL: a dict or a
        `sqlite3.Row`, JSON as text or decoded, without the columns that came later.

        Raises:
            KeyError: a column that GigQ always had is missing.
            ValueError: the parameters or dependencies are not JSON, or a number is none.
        """
        columns = _columns(row)
        get = columns.get
        return cls(
            columns["id"],
            columns["execution_id"],
            columns["name"],
            _function(columns),
            dict(_decoded(get("params"), {})),
            _number(columns, "attempts") or 1,
            _number(columns, "max_attempts") or 1,
            _number(columns, "timeout"),
            tuple(_decoded(get("dependencies"), ())),
            _optional_bool(get("pass_parent_results")),
            get("queue") or "default",
            get("worker_id") or "",
            _number(columns, "memory_limit"),
        )


class Over(NamedTuple):
    """A claim whose function is over, how it ended, and how many seconds it took."""

    claim: Claim
    ending: Ending
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Handover:
    """The claims that a worker lets go of.

    Attributes:
        over: those that it has run.
        unbegun: those that it has not begun and is not going to.
    """

    over: tuple[Over, ...] = ()
    unbegun: tuple[Claim, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.over or self.unbegun)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much a worker asks for.

    Attributes:
        first_id: the id that the first claim's execution gets; those of others come after it.
        most: how many jobs at once, at most.
        sharers: how many workers share what is due: nobody takes more than a fair share.
        fits: whether a job, by its row, is short enough to be taken together with others.
        still: whether anything is wanted at all, asked once nobody else can write: the wait for
            that may have been long, and the worker may have been told to hold meanwhile.
    """

    first_id: str
    most: int = 1
    sharers: int = 1
    fits: Callable[[Mapping[str, Any]], bool] = lambda _row: True
    still: Callable[[], bool] = lambda: True


class CutOff(NamedTuple):
    """A job that failed because a parent ended without success, with that parent."""

    job_id: str
    name: str
    parent_id: str
    parent_name: str
    parent_status: str


class Settled(NamedTuple):
    """What settling an execution did.

    Attributes:
        job_id: the job whose execution was settled.
        execution_id: that execution.
        job_status: the job's status now; PENDING when it will be tried again.
        attempt: attempts used so far.
        max_attempts: attempts the job may use.
        retry_after: not before this time, when it is tried again with a delay.
        released: dependents that became due, or wait for their time only.
        cut_off: dependents that failed because this job ended without success, each with the
            parent that failed it: this job, or one that failed because of this job.
    """

    job_id: str
    execution_id: str
    job_status: JobStatus
    attempt: int
    max_attempts: int
    retry_after: str | None = None
    released: int = 0
    cut_off: tuple[CutOff, ...] = ()


def _columns(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    return {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates values


def _function(columns: Mapping[str, Any]) -> FunctionRef:
    return _reference(
        columns["function_module"], columns["function_name"], columns.get("function_file")
    )


@lru_cache(maxsize=1000)
def _reference(module: str, name: str, file: str | None) -> FunctionRef:
    return FunctionRef(module, name, file)


def _decoded(value: Any, empty: Any) -> Any:
    if value in _EMPTY:
        return empty
    if isinstance(value, str | bytes):
        value = json.loads(value)
    return empty if value is None else value


def _number(columns: Mapping[str, Any], name: str) -> Any:
    value = columns.get(name)
    if value is None or type(value) is int:
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    raise ValueError(f"the column {name} of the job holds {value!r}, which is no number")


def _optional_bool(value: Any) -> bool | None:
    return None if value is None else bool(value)
