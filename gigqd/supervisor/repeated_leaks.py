"""Counts the workers that were replaced for one function's leaks, and warns with the remedy."""

from __future__ import annotations

import json
from typing import Any

from gigqd import logs

log = logs.get_logger(__name__)

_SEVERAL = 3
_MOST_FUNCTIONS = 1000

_REMEDIES = {
    "threads": "end the thread before the job returns, or start it as a daemon thread, once, at "
    "the top of the module",
    "children": "wait for the process, or shut the pool of processes down before the job returns "
    "(`with Pool(...)`; joblib: get_reusable_executor().shutdown())",
    "descriptors": "close what the job opens, or open it once, at the top of the module",
    "streams": "leave sys.stdout and sys.stderr open",
    "limits": "set the limit in a child process: a lowered hard limit cannot be raised again",
    "priority": "set the priority in a child process, or for the pool with `nice`",
}
_ANOTHER = "put it back before the job returns, or set it at the top of the module"


class RepeatedLeaks:
    """Counts the workers that were replaced because of one function and one kind of leak.

    A worker that is replaced takes its memory with it, so the supervisor keeps the count.
    """

    def __init__(self) -> None:
        self._replaced: dict[tuple[str, str], int] = {}

    def count(self, message: dict[str, Any]) -> None:
        """Count the worker that has sent this message about leaked state."""
        left = message["left"]
        # Other leaks beside children most often belong to a pool of processes.
        for kind in ["children"] if "children" in left else left:
            self._count_one(str(message["function"]), kind, left)

    def _count_one(self, function: str, kind: str, left: list[str]) -> None:
        if len(self._replaced) >= _MOST_FUNCTIONS:
            self._replaced.clear()
        count = self._replaced.get((function, kind), 0) + 1
        self._replaced[function, kind] = count
        if count == _SEVERAL:
            log.warning(
                "job_leaks_repeated",
                function=function,
                left=kind,
                workers=count,
                remedy=f"{_REMEDIES.get(kind, _ANOTHER)}; if the next jobs may find it, "
                f"allow it in the pool: allowed_leaks = {json.dumps(left)}",
            )
