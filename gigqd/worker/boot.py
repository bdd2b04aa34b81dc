"""Preparation of the forked process for the application's jobs."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gigq.errors import HookFailed
from gigq.execution.hooks import Hooks
from gigq.model import scripts
from gigq.model.failure_details import own_place
from gigq.model.url_passwords import mask_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.config import Config, PoolConfig

_OOM_SCORE = 500
_IMPORTED = "_gigqd_imported"


def prepare(config: Config, pool: PoolConfig) -> Hooks | None:
    """Set up directory, umask, environment and module path, and import the configured modules.

    Returns:
        The application's hooks, whose module is imported first.

    Raises:
        BaseException: of an imported module, or of a call that the kernel refuses.
    """
    _volunteer_for_the_oom_killer()
    os.chdir(config.daemon.working_directory)
    os.umask(config.daemon.umask)
    if pool.nice:
        os.nice(pool.nice)
    os.environ.update(config.code.environment)
    time.tzset()  # the C library has read TZ before
    sys.path[:0] = [str(folder) for folder in config.code.python_path]
    hooks = Hooks(config.code.hooks) if config.code.hooks else None
    if hooks is not None:
        with _importing(hooks.module):
            hooks.load()
    for module in config.code.imports:
        with _importing(module), scripts.loading(module):
            importlib.import_module(module)
    return hooks


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Record the module's name on an exception that its import raises."""
    try:
        yield
    except BaseException as error:
        object.__setattr__(error, _IMPORTED, module)
        raise


def is_of_the_application(error: BaseException) -> bool:
    """Return True for an error of an import or of `worker_start`, not of gigqd itself."""
    return isinstance(error, HookFailed) or hasattr(error, _IMPORTED)


def failure(error: BaseException) -> str:
    """Return the error of a worker's boot on one line, with its module and its place.

    The place is the last line of the application's own code, not that of a library it called.
    Passwords in URLs are masked.
    """
    module = getattr(error, _IMPORTED, None)
    if isinstance(error, HookFailed) and error.__cause__ is not None:
        return _with_place(str(error), own_place(error.__cause__, module or ""))
    name = type(error).__name__
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    what = ": ".join(part for part in (name, text) if part)
    if isinstance(error, SystemExit):
        what = f"SystemExit: an import has exited with {error.code!r}"
    doing = f"while importing {module}" if module else ""
    return _with_place(what, own_place(error, module or ""), doing)


def _with_place(what: str, place: tuple[str | None, int | None], doing: str = "") -> str:
    parts = [doing, ":".join(str(part) for part in place if part is not None)]
    where = ", ".join(part for part in parts if part)
    return str(mask_passwords(f"{what} ({where})" if where else what))


def trace(error: BaseException) -> str:
    """Return the traceback of a worker's failed boot, with passwords in URLs masked."""
    return str(mask_passwords("".join(traceback.format_exception(error))))


def _volunteer_for_the_oom_killer() -> None:
    """Make the kernel kill a worker, and not the supervisor, when memory runs out."""
    with open("/proc/self/oom_score_adj", "r+") as score:  # noqa: PTH123 - a kernel file
        current = int(score.read())
        score.seek(0)
        score.write(str(min(1000, current + _OOM_SCORE)))
