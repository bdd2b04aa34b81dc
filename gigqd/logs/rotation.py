"""Rotation of the log file: one process renames it, the others reopen it as after a manual rename.

A line is one write to a file that was opened for appending, and each process checks before a line
that the name still leads to its file. So a line is written whole to the old file or the new one.
Several daemons may share a log; a lock on the file lets only one of them rename it.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from gigqd.logs import pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.config import LogConfig

log = pipeline.get_logger(__name__)

_AGAIN_AFTER = 60.0


class Rotation:
    """Renames the log file once it has grown too large; for one process, the supervisor."""

    def __init__(self) -> None:
        self._not_before = 0.0

    def step(self, config: LogConfig) -> None:
        """Rotate if it is time to. An error is logged and tried again later: the log goes on."""
        problem, path = pipeline.follow(), pipeline.sink_path()
        if time.monotonic() < self._not_before:
            return
        if problem is not None:
            self._wait()
            log.error("log_reopen_failed", error=str(problem))
        if not config.max_size or path is None or problem is not None:
            return
        try:
            if path.stat().st_size < config.max_size:
                return
            if not _rename_alone(path, config):
                return
        except (FileNotFoundError, BlockingIOError):
            return  # another process renames it or has done so: the next line makes it anew
        except OSError as error:
            self._wait()
            log.error("log_rotation_failed", error=str(error))
            return
        pipeline.reopen()
        log.info("log_rotated", file=str(numbered(path, 1)))

    def _wait(self) -> None:
        self._not_before = time.monotonic() + _AGAIN_AFTER


def rename(path: Path, keep: int) -> None:
    """Rename a log file to `.1`, the one before to `.2` and so on; the oldest one is replaced.

    Raises:
        OSError: a file cannot be renamed; the log file still has its name.
    """
    for number in range(keep - 1, 0, -1):
        if os.path.lexists(numbered(path, number)):
            numbered(path, number).replace(numbered(path, number + 1))
    path.replace(numbered(path, 1))


def _rename_alone(path: Path, config: LogConfig) -> bool:
    """Rename a log file that is too large, unless another process has locked or renamed it."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(fd)
        if found.st_size < config.max_size or not os.path.samestat(found, path.stat()):
            return False
        rename(path, config.keep)
        return True
    finally:
        os.close(fd)


def numbered(path: Path, number: int) -> Path:
    """Return the name of a renamed log file; 1 is the latest."""
    return path.with_name(f"{path.name}.{number}")
