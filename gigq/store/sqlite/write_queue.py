"""A write queue before SQLite's write lock: the process that has waited longest writes next.

SQLite gives its lock to any process that tries while it is free, so one of two busy writers may
wait for most of a second. The queue only adds fairness among processes of gigq: foreign writers do
not use it, a process that has waited too long skips it, and SQLite's lock alone keeps transactions
apart.

The queue is made of record locks on one file: one byte for the writer, and one for each process
that waits, at an offset given by the time at which it came. The kernel frees them with their
process, and processes that a job forks do not inherit them, as they would locks of flock(2).
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from gigq.model.jitter import random_between
from gigq.store.sqlite.file import private_files, record_lock
from gigq.store.sqlite.processes.run_locks import companion_path

_NAME = "write-queue"

# Offsets in the file: the byte of the writer, and the first byte of waiting processes.
_WRITER = 0
_QUEUE_OFFSET = 1 << 40

# In microseconds of the monotonic clock, which all processes of a host share.
_SECOND = 1_000_000
_REOPEN_EVERY = _SECOND
_PATIENCE = 100_000
_HEAD_START = 10_000
_TURN = 2_000


class _Turn(Enum):
    """Position in the write queue."""

    MINE = auto()
    NEXT = auto()
    LATER = auto()


# The shortest pause between two tries in microseconds, and the divisor of the time waited so far
# for longer pauses. Only the next in the queue tries often: eight such would fill a processor.
_PAUSES = {_Turn.NEXT: (30, 100), _Turn.LATER: (1000, 10)}


class WriteQueue:
    """The write queue of one database, as one process uses it.

    1. A writer holds the queue from before `BEGIN` until after `COMMIT`.
    2. Others wait in the order in which they came. An urgent writer counts as if it had come 10 ms
       earlier, so it delays no other writer by more than that.
    3. A writer may write again at once for 2 ms, unless an urgent writer waits, or any writer for
       more than 10 ms: then a series of short transactions costs one handover.
    4. A writer that has waited for 100 ms skips the queue for a second: the holder may be stopped,
       or its transaction is a long one.

    Args:
        path: the database file.
    """

    def __init__(self, path: str) -> None:
        self._path = str(companion_path(path) / _NAME)
        self._descriptor = -1
        self._mine = threading.Lock()  # record locks do not exclude threads of one process
        self._turn_began = 0
        self._reopen_at = 0
        self._shut_until = 0

    def enter(self, *, urgent: bool) -> bool:
        """Wait for the turn to write, for 100 ms at most. The caller writes in any case.

        Args:
            urgent: True when a caller waits for this transaction.

        Returns:
            True when this process holds the queue and must call `leave`.
        """
        now = _now()
        if now < self._shut_until or not self._mine.acquire(timeout=_PATIENCE / _SECOND):
            return False
        held = False
        try:
            if now >= self._reopen_at:
                self._reopen(now)
            held = self._descriptor >= 0 and self._pass(now, urgent=urgent)
        except OSError:
            self._shut_until = now + _SECOND  # no such locks on this file system, or none left
        finally:
            if not held:
                self.leave()
        return held

    def leave(self) -> None:
        """Release the queue, so that the next process writes."""
        try:
            if self._descriptor >= 0:
                record_lock.free(self._descriptor, _WRITER)
        finally:
            self._mine.release()

    def _pass(self, now: int, *, urgent: bool) -> bool:
        in_turn = now - self._turn_began < _TURN
        early = now - _HEAD_START
        if self._try(early if urgent or in_turn else now) is _Turn.MINE:
            self._turn_began = self._turn_began if in_turn else now
            return True
        held = self._wait_in_queue(early if urgent else now, now)
        self._turn_began = _now()
        return held

    def _wait_in_queue(self, place: int, began: int) -> bool:
        fcntl.lockf(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _QUEUE_OFFSET + place)
        turn = _Turn.NEXT
        try:
            while (waited := _now() - began) < _PATIENCE:
                shortest, divisor = _PAUSES[turn]
                pause = max(shortest, waited // divisor) / _SECOND
                time.sleep(random_between(pause, 3 * pause))
                turn = self._try(place)
                if turn is _Turn.MINE:
                    return True
        finally:
            record_lock.free(self._descriptor, _QUEUE_OFFSET + place)
        self._shut_until = _now() + _SECOND
        return False

    def _try(self, place: int) -> _Turn:
        """Take the queue, if no process waits before `place` and none writes."""
        if record_lock.conflict(self._descriptor, 1, _QUEUE_OFFSET + place - 1):
            return _Turn.LATER
        return _Turn.MINE if record_lock.take(self._descriptor, _WRITER) else _Turn.NEXT

    def _reopen(self, now: int) -> None:
        """Open the file at the path, once a second: it may be new, or have been replaced."""
        self._reopen_at = now + _REOPEN_EVERY
        known, self._descriptor = self._descriptor, -1
        # No queue without the folder (the first worker makes it), or without permission.
        with suppress(OSError):
            if known >= 0 and private_files.is_at(self._path, known):
                self._descriptor, known = known, -1
            elif sys.platform == "linux":
                self._descriptor = _opened(Path(self._path))
        if known >= 0:
            os.close(known)


def write_queue_of(path: str) -> WriteQueue:
    """Return this process's write queue of the database at an absolute path.

    There is one object for each file: closing one descriptor of a file frees all record locks of
    the process on it.
    """
    write_queue = _write_queues.get(path)
    if write_queue is None:
        write_queue = _write_queues.setdefault(path, WriteQueue(path))
    return write_queue


_write_queues: dict[str, WriteQueue] = {}
# A forked child holds no lock, and another thread of the parent may have held `_mine`.
os.register_at_fork(after_in_child=_write_queues.clear)


def _opened(path: Path) -> int:
    path.parent.lstat()  # raises while the folder is missing: the first worker makes it
    private_files.make_folder(path.parent)
    return private_files.open_file(path)


def _now() -> int:
    return time.monotonic_ns() // 1000
