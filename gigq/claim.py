"""A claim as a value: who asks for work, what was handed out, what came of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigq.functions import FunctionRef

if TYPE_CHECKING:
    from collections.abc import Mapping

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


@dataclass(frozen=True, slots=True)
class Claim:
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
        columns = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates values
        return cls(
            job_id=columns["id"],
            execution_id=columns["execution_id"],
            name=columns["name"],
            function=_function(columns),
            params=dict(_decoded(columns.get("params"), {})),
            attempt=_number(columns, "attempts") or 1,
            max_attempts=_number(columns, "max_attempts") or 1,
            timeout=_number(columns, "timeout"),
            dependencies=tuple(_decoded(columns.get("dependencies"), ())),
            pass_parent_results=_optional_bool(columns.get("pass_parent_results")),
            queue=columns.get("queue") or "default",
            worker_id=columns.get("worker_id") or "",
            memory_limit=_number(columns, "memory_limit"),
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling an execution did.

    Attributes:
        job_id: the job whose execution was settled.
        execution_id: that execution.
        job_status: the job's status now; PENDING when it will be tried again.
        attempt: attempts used so far.
        max_attempts: attempts the job may use.
        retry_after: not before this time, when it is tried again with a delay.
        released: dependents that became due, or wait for their time only.
        cut_off: ids of dependents that failed because this job ended without success.
    """

    job_id: str
    execution_id: str
    job_status: JobStatus
    attempt: int
    max_attempts: int
    retry_after: str | None = None
    released: int = 0
    cut_off: tuple[str, ...] = ()


def _function(columns: Mapping[str, Any]) -> FunctionRef:
    return FunctionRef(
        module=columns["function_module"],
        name=columns["function_name"],
        file=columns.get("function_file"),
    )


def _decoded(value: Any, empty: Any) -> Any:
    if isinstance(value, str | bytes):
        value = json.loads(value)
    return empty if value is None else value


def _number(columns: Mapping[str, Any], name: str) -> Any:
    value = columns.get(name)
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise ValueError(f"the column {name} of the job holds {value!r}, which is no number")


def _optional_bool(value: Any) -> bool | None:
    return None if value is None else bool(value)
