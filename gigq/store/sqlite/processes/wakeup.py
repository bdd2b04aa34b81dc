"""Wakeup of idle workers: one byte in a pipe wakes one worker of a group, from any process.

A wakeup is a hint. There may be no worker, the pipe may be full, or the worker may find no job;
idle workers also poll.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from gigq.model.served_queues import parse
from gigq.store.sqlite.file.filesystem import resolve
from gigq.store.sqlite.file.private_files import is_at
from gigq.store.sqlite.processes import wakeup_groups
from gigq.store.sqlite.processes.run_locks import companion, companion_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A worker that finds more work wakes the next one, so a few wakeups start them all.
MOST_WAKE_UPS_PER_GROUP = 16

_LONGEST_WITHOUT_PIPE = 1.0

_ONE = b"\0"
_MANY = 65536
_ALL = 256


class Listener:
    """The end of a pipe on which one thread waits; a wakeup wakes one thread of a group.

    Before a thread sleeps, it calls `drain` and then looks for work once more: by then the jobs of
    all drained wakeups are in the database. If the folder beside the database cannot be used, no
    wakeup arrives, so that `wait` sleeps for a second at most.

    Args:
        database_path: the database file.
        queues: patterns of the served queues; None for every queue.
    """

    def __init__(
        self, database_path: str | os.PathLike[str], queues: Iterable[str] | None = None
    ) -> None:
        # Absolute: a job may change the current folder.
        self._database_path = resolve(database_path)
        self._folder = _folder_of(self._database_path)
        self._served = parse(queues)
        self._path = wakeup_groups.pipe_of(self._folder, self._served)
        self._descriptor = -1
        self._open()
        wakeup_groups.remove_unused(self._folder)

    def _open(self) -> None:
        with suppress(OSError):
            companion(self._database_path)
            self._descriptor = wakeup_groups.join(self._folder, self._served)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at a wakeup; -1 when there is none."""
        return self._descriptor

    def renew(self) -> bool:
        """Make the pipe again if it was deleted, and wake other workers that wait on the old one.

        Returns:
            True when it was deleted, so that wakeups may have been lost.
        """
        if self._descriptor >= 0:
            if is_at(self._path, self._descriptor):
                return False
            _wake(self._descriptor, _ALL)
            os.close(self._descriptor)
            self._descriptor = -1
        self._open()
        return True

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until a wakeup, input on one of the descriptors `others`, or `timeout` seconds.

        Returns:
            True when this call took a wakeup.
        """
        self.renew()
        longest = timeout if self._descriptor >= 0 else min(timeout, _LONGEST_WITHOUT_PIPE)
        deadline = time.monotonic() + longest
        with select.epoll() as poll:
            if self._descriptor >= 0:
                # Exclusive: the kernel wakes one of many waiting threads for one byte.
                poll.register(self._descriptor, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            for other in others:
                poll.register(other, select.EPOLLIN)
            while ready := poll.poll(max(deadline - time.monotonic(), 0)):
                # Another worker may have taken this wakeup before it slept.
                if self.take():
                    return True
                if any(descriptor != self._descriptor for descriptor, _ in ready):
                    return False
        return False

    def take(self) -> bool:
        """Take one wakeup and leave the rest to other workers; False when there was none."""
        return self._read(1)

    def drain(self) -> bool:
        """Take all wakeups: the caller's next look finds their jobs."""
        return self._read(_MANY)

    def rest(self) -> None:
        """Do nothing: wakeups stay in the pipe for other workers."""

    def close(self) -> None:
        """Stop waiting."""
        if self._descriptor >= 0:
            wakeup_groups.leave(self._path, self._descriptor)
            self._descriptor = -1

    def _read(self, size: int) -> bool:
        try:
            return self._descriptor >= 0 and bool(os.read(self._descriptor, size))
        except BlockingIOError:
            return False


def notify(
    database_path: str | os.PathLike[str],
    due: Mapping[str, int],
    most: int = MOST_WAKE_UPS_PER_GROUP,
) -> None:
    """Wake idle workers for jobs that became due, without blocking or raising OSError.

    Args:
        database_path: the database file.
        due: number of jobs that became due, by queue.
        most: workers to wake at most in each group of workers that serve the same queues.
    """
    if not due:
        return
    # Without a pipe, a folder or permission the workers' polling is enough.
    with suppress(OSError):
        for group in wakeup_groups.groups_in(_folder_of(resolve(database_path))):
            if jobs := group.jobs_among(due):
                _wake_group(group.path, min(jobs, most))


def notify_alike(database_path: str | os.PathLike[str], queues: Iterable[str] | None) -> None:
    """Wake one more of the workers that serve the same queues as the calling one."""
    with suppress(OSError):
        folder = _folder_of(resolve(database_path))
        _wake_group(wakeup_groups.pipe_of(folder, parse(queues)), 1)


class OpenPipes:
    """Open pipes of all groups, so that workers on a deleted pipe can be woken.

    Args:
        database_path: the database file.
    """

    def __init__(self, database_path: str | os.PathLike[str]) -> None:
        self._folder = _folder_of(resolve(database_path))
        self._open: dict[str, int] = {}

    def renew(self) -> None:
        """Wake all workers whose pipe was deleted, so that they make another; open new pipes."""
        for path, descriptor in list(self._open.items()):
            if not is_at(path, descriptor):
                _wake(descriptor, _ALL)
                os.close(self._open.pop(path))
        with suppress(OSError):
            for group in wakeup_groups.groups_in(self._folder):
                if group.path not in self._open:
                    with suppress(OSError):
                        self._open[group.path] = wakeup_groups.open_pipe(group.path, os.O_WRONLY)

    def close(self) -> None:
        """Close the pipes."""
        while self._open:
            os.close(self._open.popitem()[1])


@lru_cache(maxsize=256)
def _folder_of(real_path: str) -> str:
    return os.fspath(companion_path(real_path))


def _wake_group(path: str, times: int) -> None:
    try:
        descriptor = wakeup_groups.open_pipe(path, os.O_WRONLY)
    except OSError:
        return  # no worker waits on it, or this account may not write to it
    _wake(descriptor, times)
    os.close(descriptor)


def _wake(descriptor: int, times: int) -> None:
    # One write for each: the kernel wakes one worker for a write of any length.
    try:
        for _ in range(times):
            os.write(descriptor, _ONE)
    except OSError:
        return  # the pipe is full, so workers are waking already; or no worker is left
