"""Going on while no further file can be opened: the limit was lowered, or the host has none left.

What a step of the supervisor's loop could not do is done in a later turn. Spare descriptors are
kept for that time, taken early so that their numbers are low: once they are closed, processes can
be looked at, and so ended, even when the limit is below what is open.
"""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.errors import files_remedy, is_out_of_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

log = logs.get_logger(__name__)

_SPARE = 8
_LOGGED_EVERY = 60.0
_OVER_AFTER = 5.0
_PAUSE = 0.02


class OpenFilesLimit:
    """A context that keeps the want of a descriptor from ending the supervisor.

    Args:
        may_wait: whether to go on; before the daemon is ready an error ends the start.
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
        """Pass over an error that the want of a descriptor has caused."""
        if error is None or not is_out_of_files(error) or not self._may_wait():
            return False
        now = time.monotonic()
        self._lasts_until = now + _OVER_AFTER
        while self._spare:
            os.close(self._spare.pop())
        if now >= self._log_again_at:
            self._log_again_at = now + _LOGGED_EVERY
            log.error("files_exhausted", error=f"{error}; {files_remedy()}")
        time.sleep(_PAUSE)  # what cannot be done now is tried again at once
        return True

    def step(self) -> None:
        """Take the spare descriptors back once there has been no error for some seconds."""
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
    """Return whether the limit lets this process open the spare descriptors and as many besides."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    return limit == resource.RLIM_INFINITY or max(used) + 2 * _SPARE < limit


def _open_nothing() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
