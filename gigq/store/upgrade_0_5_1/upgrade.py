"""Upgrade of a file of GigQ 0.5.1 or older, inside the migration's transaction.

Its tables are renamed, the schema is created, and the rows are copied: local times become UTC,
lists of parents become rows, and missing values get the defaults of 0.5.1. Columns, indexes and
triggers that a user added are kept. See docs/decisions/0003-the-0.5.1-file-is-upgraded-once.md.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from gigq.errors import UnsupportedStore
from gigq.model import clock
from gigq.model.ids import new_id
from gigq.store.sqlite.transactions import SqliteSession
from gigq.store.statements import read
from gigq.store.table_definition import folded, quoted
from gigq.store.upgrade_0_5_1 import obstacles, user_objects
from gigq.store.verbs import dependents

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gigq.store.database import Row, Session
    from gigq.store.upgrade_0_5_1.user_objects import OldTable

_NEEDED = frozenset({"id", "function_module", "function_name", "status", "attempts", "params"})
_AT_ONCE = 500
_OLD_TIMEOUT = 300
_JOB_TIMES = ("created_at", "updated_at", "started_at", "completed_at", "retry_after")
_EXECUTION_TIMES = ("started_at", "completed_at")
_EXECUTION_COLUMNS = (
    *("id", "job_id", "worker_id", "status", "started_at", "completed_at", "result", "error"),
)
_JOB_COLUMNS = (
    *("id", "name", "function_name", "function_module", "params", "priority", "dependencies"),
    *("max_attempts", "timeout", "description", "status", "created_at", "updated_at", "attempts"),
    *("result", "error", "started_at", "completed_at", "worker_id", "pass_parent_results"),
    *("retry_delay", "retry_after"),
)


def examine(session: Session, fresh: Mapping[str, Collection[str]]) -> list[OldTable]:
    """Return the tables of an old file; none in a new file.

    Args:
        session: the transaction.
        fresh: the objects of a new file, with the columns of each table.

    Raises:
        UnsupportedStore: the tables belong to another program, or have additions that the upgrade
            cannot keep.
    """
    if "jobs" not in {folded(row["name"]) for row in session.all("table_names")}:
        obstacles.refuse(session, [], fresh)
        return []
    missing = _NEEDED - {folded(row["name"]) for row in session.all("columns_of_jobs")}
    if missing:
        raise UnsupportedStore(
            f"the file has a table 'jobs' without {', '.join(sorted(missing))}: it is not a "
            "queue; give the queue a file of its own"
        )
    old = [
        user_objects.find(session, "jobs", _JOB_COLUMNS),
        user_objects.find(session, "job_executions", _EXECUTION_COLUMNS),
    ]
    obstacles.refuse(session, old, fresh)
    return old


def set_aside(session: Session, fresh: Mapping[str, Collection[str]]) -> list[OldTable]:
    """Rename the tables of an old file and return them as `examine` does."""
    old = examine(session, fresh)
    if old:
        session.run("set_jobs_aside")
        session.run("create_old_executions")
        session.run("set_executions_aside")
    return old


def carry_over(session: Session, old: list[OldTable]) -> None:
    """Copy the rows and a user's additions of the old tables into today's; drop the old ones."""
    assert isinstance(session, SqliteSession)
    jobs, executions = old
    for table in old:
        user_objects.add_columns(session, table)
    for rows in _pages(session, "gigq_old_jobs", jobs):
        _insert(session, "insert_old_job", jobs, [_job(row) for row in rows])
    for rows in _pages(session, "gigq_old_executions", executions):
        _insert(session, "insert_old_execution", executions, [_execution(row) for row in rows])
    _compare(session, "jobs", "gigq_old_jobs")
    _compare(session, "job_executions", "gigq_old_executions")
    session.run("reopen_current_executions")
    session.run("close_superseded_executions", {"now": session.now})
    session.run("point_jobs_to_executions")
    session.run("insert_old_edges")
    session.run("count_old_edges")
    session.run("drop_old_jobs")
    session.run("drop_old_executions")
    user_objects.create_objects(session, old)


def _pages(session: SqliteSession, set_aside: str, table: OldTable) -> Iterator[list[Row]]:
    columns = "".join(f", {quoted(name)} AS {folded(name)}" for name in table.known)
    sql = read("upgrade_templates")["old_rows"].format(columns=columns, table=set_aside)
    after = -(2**63)
    while rows := session.all_of(sql, {"after": after, "limit": _AT_ONCE}):
        yield rows
        after = rows[-1]["gigq_row"]


def _insert(session: Session, name: str, table: OldTable, rows: list[Row]) -> None:
    sql = read("upgrade_templates")[name].format(added=table.copied_names)
    try:
        session.connection.cursor().executemany(sql, rows)
    except sqlite3.IntegrityError as error:
        raise obstacles.refusal(session, [f"a row of table {table.name} ({error})"]) from error


def _compare(session: SqliteSession, table: str, set_aside: str) -> None:
    """Refuse a copy that lacks rows; the transaction is then rolled back."""
    count = read("upgrade_templates")["count_rows"]
    copied, there = (
        session.all_of(count.format(table=name), {})[0]["number"] for name in (table, set_aside)
    )
    if copied != there:
        raise obstacles.refusal(
            session, [f"rows of table {table} ({copied} of {there} could be carried over)"]
        )


def _job(row: Row) -> Row:
    job = {column: row.get(column) for column in ("gigq_row", *_JOB_COLUMNS)}
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
    waits_for_retry = job["status"] == "pending" and job["attempts"] and job["retry_after"]
    job["due_why"] = "retry" if waits_for_retry else None
    # Dependents of a failed parent stayed pending in 0.5.1 until the parent was requeued.
    job["on_parent_failure"] = "wait" if job["status"] == "pending" else "fail"
    return job


def _execution(row: Row) -> Row:
    execution = {column: row.get(column) for column in ("gigq_row", *_EXECUTION_COLUMNS)}
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
        return None  # not a time, which would sort at an arbitrary place
