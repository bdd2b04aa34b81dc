"""Locks that make processes close their connections in turn, so that one complete file remains.

SQLite's last connection to a file in WAL mode writes the log into it and deletes the log. Of two
that close at the same moment neither is the last one for SQLite, and the log stays.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gigq.store.sqlite.file import private_files

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 2.0
"""Seconds to wait for another process of this account to close its connection."""

PATIENCE_WITH_OTHERS = 0.2
"""Seconds to wait for a reader of another account, which could hold its lock for ever."""

_PAUSE = 0.001
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def turn_to_close(path: str) -> Iterator[None]:
    """Hold two locks while a connection to the database at `path` is closed.

    The locks are flock(2) on two folders: `<database>.gigq`, which is closed to other accounts, and
    the folder of the database. A lock that is not free within its patience is left out.
    """
    with (
        _held(_beside(path), fcntl.LOCK_EX, PATIENCE),
        _held(os.path.dirname(path), fcntl.LOCK_EX, PATIENCE_WITH_OTHERS),  # noqa: PTH120
    ):
        yield


@contextmanager
def turn_to_read(path: str) -> Iterator[None]:
    """Delay processes that close their connections until this process has read.

    Otherwise this reader would be the last connection, and it cannot write the log back.
    """
    beside = _beside(path)
    folder = beside if os.access(beside, os.R_OK) else os.path.dirname(path)  # noqa: PTH120
    with _held(folder, fcntl.LOCK_SH, PATIENCE):
        yield


def _beside(path: str) -> str:
    return path + private_files.SUFFIX


@contextmanager
def _held(folder: str, how: int, patience: float) -> Iterator[None]:
    lock = None
    with suppress(OSError):
        lock = os.open(folder, _FLAGS)
    try:
        if lock is not None:
            _wait_for(lock, how, patience)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _wait_for(lock: int, how: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    # gevent raises AssertionError for a sleep while it deletes a greenlet's local values.
    with suppress(OSError, AssertionError):
        while not private_files.try_flock(lock, how) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
