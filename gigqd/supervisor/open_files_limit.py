"""Keeps the supervisor running when no more files can be opened (EMFILE, ENFILE).

The limit may be lowered at run time, or the host may have no descriptors left. A step of the loop
that failed for that reason is repeated later. Spare descriptors are opened early, so that their
numbers are low: once they are closed, /proc can be read and processes can be killed, even when the
limit is below the number of open files.
"""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.errors import files_remedy, is_out_of_files
from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

log = logs.get_logger(__name__)

_SPARE = 8
_LOGGED_EVERY = 60.0
_OVER_AFTER = 5.0
_PAUSE = 0.02


class OpenFilesLimit:
    """Context manager that suppresses errors for lack of a descriptor.

    Args:
        may_wait: returns True when to continue; before the daemon is ready an error ends the start.
    """

    def __init__(self, may_wait: Callable[[], bool]) -> None:
        self._may_wait = may_wait
        self._spare = [_open_nothing() for _ in range(_SPARE)]
        self._lasts_until = 0.0
        self._log_again_at = 0.0

    def __enter__(self) -> None:
        """Begin a step of the loop."""

    def __exit__(
        self, _kind: object, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        """Suppress an error for lack of a descriptor, and close the spare ones."""
        if error is None or not is_out_of_files(error) or not self._may_wait():
            return False
        now = time.monotonic()
        self._lasts_until = now + _OVER_AFTER
        while self._spare:
            os.close(self._spare.pop())
        if now >= self._log_again_at:
            self._log_again_at = now + _LOGGED_EVERY
            log.error("files_exhausted", error=f"{error}; {files_remedy()}")
        time.sleep(_PAUSE)  # the step is repeated at once
        return True

    def step(self) -> None:
        """Open the spare descriptors again once there was no error for 5 s."""
        if not self._lasts_until or time.monotonic() < self._lasts_until:
            return
        if not _leaves_room():
            self._lasts_until = time.monotonic() + _OVER_AFTER
            return
        while len(self._spare) < _SPARE:
            self._spare.append(_open_nothing())
        self._lasts_until = self._log_again_at = 0.0
        log.info("files_available")


def _leaves_room() -> bool:
    """Return True when the limit leaves room for the spare descriptors and as many besides."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(syscalls.open_descriptors())
    return limit == resource.RLIM_INFINITY or highest + 2 * _SPARE < limit


def _open_nothing() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
