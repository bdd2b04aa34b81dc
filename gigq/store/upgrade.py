"""A file of GigQ 0.5.1 or older becomes a file of today, inside the migration's transaction.

Its tables are set aside, the schema is created, and the rows are carried over: local times
become UTC, lists of parents become rows, and what 0.5.1 meant by a missing value is written
down. See docs/decisions/0003-the-0.5.1-file-is-upgraded-once.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq import clock
from gigq.errors import UnsupportedStore
from gigq.ids import new_id
from gigq.store import dependents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.database import Row, Session

_NEEDED = frozenset({"id", "function_module", "function_name", "status", "attempts", "params"})
_AT_ONCE = 500
_OLD_TIMEOUT = 300
_JOB_TIMES = ("created_at", "updated_at", "started_at", "completed_at", "retry_after")
_EXECUTION_TIMES = ("started_at", "completed_at")
_JOB_COLUMNS = (
    *("id", "name", "function_name", "function_module", "params", "priority", "dependencies"),
    *("max_attempts", "timeout", "description", "status", "created_at", "updated_at", "attempts"),
    *("result", "error", "started_at", "completed_at", "worker_id", "pass_parent_results"),
    *("retry_delay", "retry_after"),
)


def set_aside(session: Session) -> bool:
    """Rename the tables of an old file. False when there is none, in a new file.

    Raises:
        UnsupportedStore: the tables belong to something else.
    """
    tables = {row["name"] for row in session.all("table_names")}
    if "jobs" not in tables:
        return False
    missing = _NEEDED - {row["name"] for row in session.all("columns_of_jobs")}
    if missing:
        raise UnsupportedStore(
            f"the file has a table 'jobs' without {', '.join(sorted(missing))}: it is not a "
            "queue; give the queue a file of its own"
        )
    session.run("set_jobs_aside")
    session.run("create_old_executions")
    session.run("set_executions_aside")
    return True


def carry_over(session: Session) -> None:
    """Copy the set-aside rows into today's tables and drop the old ones."""
    for rows in _pages(session, "old_jobs"):
        session.many("insert_old_job", [_job(row) for row in rows])
    for rows in _pages(session, "old_executions"):
        session.many("insert_old_execution", [_execution(row) for row in rows])
    session.run("reopen_current_executions")
    session.run("close_superseded_executions", {"now": session.now})
    session.run("point_jobs_to_executions")
    session.run("insert_old_edges")
    session.run("count_old_edges")
    session.run("drop_old_jobs")
    session.run("drop_old_executions")


def _pages(session: Session, name: str) -> Iterator[list[Row]]:
    after = -1
    while rows := session.all(name, {"after": after, "limit": _AT_ONCE}):
        yield rows
        after = rows[-1]["row"]


def _job(row: Row) -> Row:
    job = {column: row.get(column) for column in _JOB_COLUMNS}
    job["id"] = new_id() if job["id"] is None else job["id"]
    _to_utc(job, _JOB_TIMES)
    job["created_at"] = job["created_at"] or clock.utc_now()
    job["updated_at"] = job["updated_at"] or job["created_at"]
    # 0.5.1 left no completion time on a cancelled or finally timed out job.
    if job["status"] in {"cancelled", "timeout", "failed", "completed"}:
        job["completed_at"] = job["completed_at"] or job["updated_at"]
    job["timeout"] = job["timeout"] or _OLD_TIMEOUT
    job["dependencies"] = dependents.listed(job["dependencies"])
    for column, value in (("priority", 0), ("attempts", 0), ("max_attempts", 3)):
        job[column] = value if job[column] is None else job[column]
    job["retry_delay"] = job["retry_delay"] or 0
    # Dependents of a failed parent stayed pending in 0.5.1, until somebody requeued the parent.
    job["on_parent_failure"] = "wait" if job["status"] == "pending" else "fail"
    return job


def _execution(row: Row) -> Row:
    execution = dict(row)
    execution["id"] = new_id() if execution["id"] is None else execution["id"]
    _to_utc(execution, _EXECUTION_TIMES)
    execution["started_at"] = execution["started_at"] or clock.utc_now()
    return execution


def _to_utc(row: Row, columns: tuple[str, ...]) -> None:
    for column in columns:
        row[column] = _utc(row[column])


def _utc(value: Any) -> str | None:
    try:
        return clock.normalise(value) if value else None
    except (TypeError, ValueError):
        return None  # not a time: better none than one that sorts anywhere
