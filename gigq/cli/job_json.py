"""The documented JSON shape of a job: the keys that `--json` prints, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_KEYS = (
    *("id", "name", "status", "queue", "priority"),
    *("function_module", "function_name", "function_file", "params", "dependencies", "description"),
    *("attempts", "max_attempts", "timeout", "retry_delay", "retry_after", "expires_at"),
    *("due_why", "retry_policy", "snoozes"),
    *("on_parent_failure", "pass_parent_results"),
    *("created_at", "updated_at", "started_at", "completed_at"),
    *("worker_id", "result", "error", "cause", "memory_limit", "crash_limit"),
    *("error_type", "error_message", "error_traceback", "workflow"),
)
EXECUTION_KEYS = (
    *("id", "attempt", "status", "worker_id", "due_at", "due_why", "started_at", "completed_at"),
    *("error", "cause", "exit_code", "signal", "stack", "output"),
    *("peak_rss", "cpu_time", "note", "wall_time", "late", "killed", "cancel_requested_at"),
    *("error_type", "error_message", "error_traceback", "interrupted_by", "returned_after"),
)


def job(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one job of `gigq list --json`."""
    return {key: row.get(key) for key in JOB_KEYS}


def job_with_executions(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of `gigq status --json`."""
    executions = [_execution(e) for e in row["executions"]]
    more = {"executions": executions, "why_waiting": row["why_waiting"], "host": row["host"]}
    return {"exists": True} | job(row) | more


def _execution(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row.get(key) for key in EXECUTION_KEYS}
