"""The stacks of a worker's threads, without the frames of gigq itself."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUNNER = find_spec("gigq.execution.attempt")
_RUNS_JOBS = f'  File "{_RUNNER.origin if _RUNNER else ""}", line '
_TASKS = find_spec("gigq.task")
_CALLS_A_TASK = f'  File "{_TASKS.origin if _TASKS else ""}", line '


def without_worker_frames(stacks: str) -> str:
    """Return the stacks without the frames that call the job's function."""
    return "".join(_above_the_worker(stacks.splitlines(keepends=True)))


def _above_the_worker(lines: list[str]) -> Iterator[str]:
    below = False
    for line, caller in zip_longest(lines, lines[1:], fillvalue=""):
        is_frame = line.startswith("  File ")
        below = is_frame and (below or _is_the_workers(line, caller))
        if not below:
            yield line


def _is_the_workers(line: str, caller: str) -> bool:
    """Return True for the frame that runs the job, and for the one of `@task` that it calls."""
    return line.startswith(_RUNS_JOBS) or (
        line.startswith(_CALLS_A_TASK) and caller.startswith(_RUNS_JOBS)
    )
