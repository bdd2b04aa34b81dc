"""Rows as the commands show them, with marks for unreadable values of foreign SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigq.model import clock, retry_policy
from gigq.model.url_passwords import mask_passwords
from gigq.queue import JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK = "unreadable: "
_SHOWN = 200
_SAID = ("error", "error_message", "error_traceback")
_TIMES = (
    *("created_at", "updated_at", "started_at", "completed_at", "retry_after"),
    *("cancel_requested_at", "expires_at", "due_at"),
)
_NUMBERS = (
    *("priority", "attempts", "max_attempts", "timeout", "retry_delay", "memory_limit"),
    *("crash_limit", "attempt", "exit_code", "peak_rss", "cpu_time", "wall_time", "late"),
    *("killed", "returned_after"),
)


class ReadableQueue(JobQueue):
    """A queue whose rows have a mark in place of each unreadable value."""

    def get_status(self, job_id: str) -> dict[str, Any]:
        """Return the same as `JobQueue.get_status`, with marks."""
        found = super().get_status(job_id)
        if not found["exists"]:
            return found
        return {**row(found), "executions": [row(one) for one in found["executions"]]}

    def list_jobs(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the same as `JobQueue.list_jobs`, with marks."""
        return [row(found) for found in super().list_jobs(*args, **kwargs)]


def row(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decoded row with a mark in place of each unreadable value.

    Passwords of URLs in errors and tracebacks are masked, as in the log.
    """
    shown = {
        name: value if value is None or _is_readable(name, value) else marked(value)
        for name, value in found.items()
    }
    said = {name: mask_passwords(shown[name]) for name in _SAID if name in shown}
    return {**shown, **said}


def marked(value: object) -> str:
    """Return the mark for an unreadable value."""
    shown = repr(value[: _SHOWN + 1] if isinstance(value, str | bytes) else value)
    return MARK + (shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}...")


def _is_readable(name: str, value: object) -> bool:
    return _KINDS.get(name, _is_text)(value)


def _is_text(value: object) -> bool:
    return not isinstance(value, bytes)


def _is_time(value: object) -> bool:
    try:
        clock.parse(value).astimezone()  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_policy(value: object) -> bool:
    return isinstance(value, dict) and not retry_policy.problem(json.dumps(value))


_KINDS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(_TIMES, _is_time),
    **dict.fromkeys(_NUMBERS, _is_number),
    "dependencies": _is_list_of_texts,
    "params": _is_object,
    "retry_policy": _is_policy,
}
