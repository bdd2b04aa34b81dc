"""A lock that delays forks until no other thread of the process is inside SQLite.

SQLite keeps the locks of a process in its memory. A child that is forked during another thread's
transaction inherits them and could never write: no thread of the child releases them.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any

PATIENCE = 10.0
"""Seconds that a fork waits at most for transactions of other threads."""

# The type of `threading.RLock()` has no public name.
_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_registering = threading.Lock()


class _OfThread(threading.local):
    lock: Any = None

    def __init__(self) -> None:
        self.taken: list[Any] = []


_here = _OfThread()


def inside_sqlite() -> Any:
    """Return the lock that this thread holds while it is inside SQLite.

    It is reentrant; a transaction holds it from beginning to end.
    """
    lock = _here.lock
    if lock is None:
        lock = threading.RLock()
        with _registering:  # waits for a fork that is under way
            _locks.add(lock)
        _here.lock = lock
    return lock


def _before_fork() -> None:
    deadline = time.monotonic() + PATIENCE
    _take(_registering, deadline)
    for lock in list(_locks):
        if lock is not _here.lock:
            _take(lock, deadline)


def _take(lock: Any, deadline: float) -> None:
    if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
        _here.taken.append(lock)


def _after_in_parent() -> None:
    while _here.taken:
        _here.taken.pop().release()


def _after_in_child() -> None:
    global _registering  # noqa: PLW0603 - the locks belong to the parent's threads
    _registering = threading.Lock()
    _here.taken.clear()
    _locks.clear()
    if _here.lock is not None:
        _locks.add(_here.lock)


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
