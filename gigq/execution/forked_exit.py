"""Exit of a process that a job forked and that returns into the worker's code."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


def exit_if_forked(
    worker: int, error: BaseException | None = None, frames: TracebackType | None = None
) -> None:
    """Exit from a process that the job forked, as Python exits after a return or an exception.

    Such a process never settles the job, which belongs to its parent, nor continues as a worker.

    Args:
        worker: the id of the worker's process; in the worker itself the call does nothing.
        error: the exception of the job's code; None when that returned.
        frames: the traceback to print.
    """
    if os.getpid() == worker:
        return
    code = 1
    try:
        code = _reported(error, frames)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed or replaced by the job
                stream.flush()
        os._exit(code)


def _reported(error: BaseException | None, frames: TracebackType | None) -> int:
    """Print an exception as Python does, and return the exit code."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return _code_of(error)
    sys.excepthook(type(error), error.with_traceback(frames), frames)
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 1


def _code_of(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)  # noqa: T201 - as Python does
    return 1
