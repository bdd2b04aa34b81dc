"""Closing connections one after another, so that the last one leaves a single complete file.

The last connection to a file in WAL mode writes the log into it and deletes the log, if it finds
that it is the last one. Of two that close at the same moment neither finds that, and the log stays.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 2.0
"""Seconds to wait for another process to close its connection."""

_PAUSE = 0.001


@contextmanager
def turn_to_close(path: str) -> Iterator[None]:
    """Hold a lock while a connection to the database at `path` is closed.

    It is a flock(2) on the folder, which needs no file of its own. Where it cannot be had within
    the patience, the connection is closed without it.
    """
    lock = _opened(path)
    try:
        if lock is not None:
            _wait_for(lock)
        yield
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def turn_to_read(path: str) -> Iterator[None]:
    """Have a process that closes its connection wait, for a moment, until this one has read.

    Otherwise it would not be the last one, and the one that only reads cannot write the log back.
    """
    lock = _opened(path)
    try:
        if lock is not None:
            _wait_for(lock, fcntl.LOCK_SH)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _opened(path: str) -> int | None:
    with suppress(OSError):
        return os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
    return None


def _wait_for(lock: int, how: int = fcntl.LOCK_EX) -> None:
    deadline = time.monotonic() + PATIENCE
    with suppress(OSError):
        while not _is_ours(lock, how) and time.monotonic() < deadline:
            time.sleep(_PAUSE)


def _is_ours(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
