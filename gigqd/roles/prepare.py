"""Making the forked process a place where the application's jobs can run."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigqd.config import Config, PoolConfig

_OOM_SCORE = 500


def prepare(config: Config, pool: PoolConfig) -> None:
    """Set up directory, permissions, environment and module path, and import what is asked for.

    Raises:
        BaseException: whatever an imported module raises, or the kernel refuses.
    """
    _volunteer_for_the_oom_killer()
    os.chdir(config.daemon.working_directory)
    os.umask(config.daemon.umask)
    if pool.nice:
        os.nice(pool.nice)
    os.environ.update(config.code.environment)
    sys.path[:0] = [str(folder) for folder in config.code.python_path]
    for module in config.code.imports:
        importlib.import_module(module)


def failure(error: BaseException) -> str:
    """What kept a worker from booting, on one line, and where in the code."""
    what = ": ".join(part for part in (type(error).__name__, str(error)) if part)
    if isinstance(error, SystemExit):
        what = f"SystemExit: an import has left with {error.code!r}"
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename[0] != "<"]
    return f"{what} ({places[-1]})" if places else what


def _volunteer_for_the_oom_killer() -> None:
    """When memory runs out, the kernel is to pick a worker and not the supervisor."""
    with open("/proc/self/oom_score_adj", "r+") as score:  # noqa: PTH123 - a kernel file
        current = int(score.read())
        score.seek(0)
        score.write(str(min(1000, current + _OOM_SCORE)))
