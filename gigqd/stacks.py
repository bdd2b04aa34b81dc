"""The stacks of a worker's threads, cut to what the author of its job needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUNNER = find_spec("gigq.execution")
_RUNS_JOBS = f'  File "{_RUNNER.origin if _RUNNER else ""}", line '


def of_the_job(stacks: str) -> str:
    """Leave out the frames below the job's function: they are the same for every job."""
    return "".join(_above_the_worker(stacks.splitlines(keepends=True)))


def _above_the_worker(lines: list[str]) -> Iterator[str]:
    below = False
    for line in lines:
        is_frame = line.startswith("  File ")
        below = is_frame and (below or line.startswith(_RUNS_JOBS))
        if not below:
            yield line
