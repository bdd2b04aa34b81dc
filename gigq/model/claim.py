"""Values of claims: the claimant, its request, the claimed job, and the effects of settling."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.errors import UnreadableJob
from gigq.model.decimals import plain_number
from gigq.model.function_import import FunctionRef

_MOST_ATTEMPTS = 2**31
_MOST_BYTES = 2**63
_SHOWN = 100

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigq.model.cause import Cause
    from gigq.model.execution_result import ExecutionResult
    from gigq.model.job_status import JobStatus


class Claimant(NamedTuple):
    """The worker that claims.

    Attributes:
        worker_id: the worker's name, as stored and shown.
        run: the run, a lock that shows whether the process is alive that runs the execution.
        queues: the queues it serves, as `gigq.model.served_queues` reads them; None is every queue.
    """

    worker_id: str
    run: str
    queues: tuple[str, ...] | None = None


class Claim(NamedTuple):
    """A job that one worker holds for one attempt. The execution id is the fencing token.

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
    retry_policy: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Claim:
        """Build a claim from a row of `jobs` with its execution id.

        The row may come from a subclass that claims with its own SQL: a dict or a
        `sqlite3.Row`, JSON as text or decoded, without the columns that came later.

        Raises:
            KeyError: a column that GigQ always had is missing.
            UnreadableJob: a column has a value with which no job can run; the message names both.
        """
        columns = _columns(row)
        get = columns.get
        id_, execution_id, name = columns["id"], columns["execution_id"], columns["name"]
        queue, attempt, limit = get("queue") or "default", get("attempts"), get("memory_limit")
        passes = get("pass_parent_results")
        if not (type(id_) is type(execution_id) is type(name) is type(queue) is str):
            raise _no_text(columns)
        return cls(
            id_,
            execution_id,
            name,
            _reference(columns["function_module"], columns["function_name"], get("function_file")),
            _params(get("params")),
            attempt if type(attempt) is int and 0 < attempt < _MOST_ATTEMPTS else _attempt(attempt),
            _number(columns, "max_attempts") or 1,
            _timeout(columns),
            _dependencies(get("dependencies")),
            None if passes is None else bool(passes),
            queue,
            get("worker_id") or "",
            None if limit is None else _memory_limit(limit),
            get("retry_policy"),
        )


class ExpiredJob(NamedTuple):
    """A pending job that has ended because it was not started in time.

    Attributes:
        job_id: the job.
        name: its name.
        queue: its queue.
        status: CANCELLED, or FAILED when it had been tried.
        attempt: number of attempts that it had.
        max_attempts: maximum number of attempts.
        error: the error that is stored.
        due_in: the queue of each dependent that became due because of it.
        failed_dependents: dependents that failed because of it.
    """

    job_id: str
    name: str
    queue: str
    status: JobStatus
    attempt: int
    max_attempts: int
    error: str
    due_in: tuple[str, ...]
    failed_dependents: tuple[FailedDependent, ...]


class Finished(NamedTuple):
    """A claim whose function has ended, with its result and its duration in seconds."""

    claim: Claim
    result: ExecutionResult
    seconds: float = 0.0


class SettleBatch(NamedTuple):
    """Claims to settle in one transaction.

    Attributes:
        finished: claims that ran; their results are recorded.
        released: claims that never started; they are undone.
    """

    finished: tuple[Finished, ...] = ()
    released: tuple[Claim, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.finished or self.released)


class ClaimRequest(NamedTuple):
    """The number and kind of jobs that a worker claims at once.

    Attributes:
        first_id: execution id of the first claim; the ids of the others come after it.
        most: maximum number of jobs.
        sharers: number of workers that share the due jobs; each takes at most a fair share.
        fits: given a row, returns True when the job is short enough to be claimed with others.
        may_claim: returns False when nothing is to be claimed. It is called inside the transaction,
            since the wait for the write lock may be long.
        unknown: the functions of which no job is claimed, as `module:name` or `path:name`.
    """

    first_id: str
    most: int = 1
    sharers: int = 1
    fits: Callable[[Mapping[str, Any]], bool] = lambda _row: True
    may_claim: Callable[[], bool] = lambda: True
    unknown: tuple[str, ...] = ()


class FailedDependent(NamedTuple):
    """A job that failed because a parent ended without success, with that parent."""

    job_id: str
    name: str
    parent_id: str
    parent_name: str
    parent_status: str


class Settled(NamedTuple):
    """The effects of settling an execution.

    Attributes:
        job_id: the job whose execution was settled.
        execution_id: that execution.
        job_status: the job's status now; PENDING when it will be tried again.
        attempt: attempts used so far.
        max_attempts: attempts the job may use.
        retry_after: not before this time, when it is tried again with a delay.
        released: dependents that became due, or wait for their time only.
        due_in: the queues of the jobs that wait for a worker or for their time because of this:
            of each of those dependents, and of the job itself when it will be tried again.
        failed_dependents: dependents that failed because this job ended without success, each with
            the parent that failed it: this job, or one that failed because of this job.
        reason: why it is not tried again, where the result of the execution does not say it.
        cause: the recorded cause of an attempt without success; None when there was no attempt.
        is_first_unknown: True when the job waits, and is the first one whose function its process
            did not know.
    """

    job_id: str
    execution_id: str
    job_status: JobStatus
    attempt: int
    max_attempts: int
    retry_after: str | None = None
    released: int = 0
    failed_dependents: tuple[FailedDependent, ...] = ()
    due_in: tuple[str, ...] = ()
    reason: str = ""
    cause: Cause | None = None
    is_first_unknown: bool = False


def _columns(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    return {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates values


@lru_cache(maxsize=1000)
def _reference(module: str, name: str, file: str | None) -> FunctionRef:
    columns = {"function_module": module, "function_name": name, "function_file": file or ""}
    for column, value in columns.items():
        if type(value) is not str:
            raise unreadable(column, value, "which is no text")
    return FunctionRef(module, name, file)


def _no_text(columns: Mapping[str, Any]) -> UnreadableJob:
    texts = ("id", "execution_id", "name")
    name = next((name for name in texts if type(columns[name]) is not str), "queue")
    return unreadable(name, columns[name], "which is no text")


def unreadable(column: str, value: Any, why: str) -> UnreadableJob:
    """Return the error that names a column, its value and the fault."""
    shown = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
    return UnreadableJob(f"the column {column} of the job holds {shown[:_SHOWN]}, {why}")


def _params(value: Any) -> dict[str, Any]:
    if value == "{}" or value is None:
        return {}
    params = _decoded("params", value)
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise unreadable("params", value, "which is no object with keyword arguments")
    return dict(params)


def _dependencies(value: Any) -> tuple[str, ...]:
    if value == "[]" or value is None:
        return ()
    parents = _decoded("dependencies", value)
    if parents is None:
        return ()
    if not isinstance(parents, list | tuple) or not all(isinstance(id_, str) for id_ in parents):
        raise unreadable("dependencies", value, "which is no list of job ids")
    return tuple(parents)


def _decoded(column: str, value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return json.loads(value)
    except RecursionError:
        raise unreadable(column, value, "which is nested too deeply") from None
    except ValueError as error:
        raise unreadable(column, value, f"which is not JSON: {error}") from None


def _number(columns: Mapping[str, Any], name: str) -> Any:
    value = columns.get(name)
    if value is None or type(value) is int:
        return value
    number = plain_number(value)
    if isinstance(number, int | float) and math.isfinite(number):
        return number
    raise unreadable(name, value, "which is no number")


def _attempt(value: Any) -> int:
    if value in (None, 0):
        return 1
    if type(value) is int and 0 < value < _MOST_ATTEMPTS:
        return value
    raise unreadable("attempts", value, "which no job can have had after this claim")


def _timeout(columns: Mapping[str, Any]) -> Any:
    value = _number(columns, "timeout")
    if value is not None and value <= 0:
        raise unreadable("timeout", value, "and a limit is above 0 seconds")
    return value


def _memory_limit(value: Any) -> int:
    if not isinstance(value, int | float):
        raise unreadable("memory_limit", value, "which is no number")
    if not 0 <= value < _MOST_BYTES:
        raise unreadable("memory_limit", value, "which is no number of bytes")
    return int(value)
