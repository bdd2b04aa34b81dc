"""Waking idle workers: one byte in a pipe wakes one worker of a group, from any process.

A wake-up is a hint. There may be no worker, the pipe may be full, the worker may find nothing;
idle workers look again by themselves after a while.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from gigq.served_queues import parse
from gigq.store import wakeup_groups
from gigq.store.filesystem import resolve
from gigq.store.liveness import companion, companion_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A worker that wakes and finds more work wakes the next one, so a few wake-ups start them all.
MOST_WAKE_UPS_PER_GROUP = 16

_ONE = b"\0"
_MANY = 65536
_ALL = 256


class Listener:
    """The waiting end. Each waiting thread has its own; a wake-up wakes one of a group.

    Before sleeping, `drain` and then look for work once more: the jobs of all wake-ups before the
    drain are in the database by then. Where the folder beside the database cannot be used, no
    wake-up arrives, and `wait` sleeps for its whole time.

    Args:
        database_path: the database file.
        queues: the queues that are served, as patterns; None for every queue.
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
        """Return the descriptor that becomes readable at a wake-up; -1 when there is none."""
        return self._descriptor

    def renew(self) -> bool:
        """Make the pipe again if it was deleted, and wake the others that wait on the old one.

        Returns:
            Whether it was gone, so that wake-ups may have been lost.
        """
        if self._descriptor >= 0:
            if wakeup_groups.is_at(self._path, self._descriptor):
                return False
            _wake(self._descriptor, _ALL)
            os.close(self._descriptor)
            self._descriptor = -1
        self._open()
        return True

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until a wake-up, input on one of the descriptors `others`, or `timeout` seconds.

        Returns:
            Whether there was a wake-up; it has then been taken.
        """
        self.renew()
        deadline = time.monotonic() + timeout
        with select.epoll() as poll:
            if self._descriptor >= 0:
                # Exclusive: of many that wait, the kernel wakes one for one byte.
                poll.register(self._descriptor, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            for other in others:
                poll.register(other, select.EPOLLIN)
            while ready := poll.poll(max(deadline - time.monotonic(), 0)):
                # A worker that was about to sleep may have taken this wake-up.
                if self.take():
                    return True
                if any(descriptor != self._descriptor for descriptor, _ in ready):
                    return False
        return False

    def take(self) -> bool:
        """Take one wake-up, leaving the others to other workers. False when there was none."""
        return self._read(1)

    def drain(self) -> bool:
        """Take all wake-ups: their jobs are gone, or the next look finds them."""
        return self._read(_MANY)

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
    """Wake idle workers for jobs that became due. Never blocks and never raises OSError.

    Args:
        database_path: the database file.
        due: how many jobs became due in each queue.
        most: how many workers to wake in each group of workers that serve the same queues.
    """
    if not due:
        return
    # No worker, a full pipe, a missing folder or no rights: the worker's own look is enough.
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
    """Keeps the pipes open on which workers wait, so that those of a deleted one can be woken.

    Args:
        database_path: the database file.
    """

    def __init__(self, database_path: str | os.PathLike[str]) -> None:
        self._folder = _folder_of(resolve(database_path))
        self._open: dict[str, int] = {}

    def renew(self) -> None:
        """Wake all workers whose pipe was deleted, so that they make another; find new pipes."""
        for path, descriptor in list(self._open.items()):
            if not wakeup_groups.is_at(path, descriptor):
                _wake(descriptor, _ALL)
                os.close(self._open.pop(path))
        with suppress(OSError):
            for group in wakeup_groups.groups_in(self._folder):
                if group.path not in self._open:
                    with suppress(OSError):
                        self._open[group.path] = wakeup_groups.open_pipe(group.path, os.O_WRONLY)

    def close(self) -> None:
        """Close them."""
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
    # One write for each: the kernel wakes one worker at a write, however long it is.
    try:
        for _ in range(times):
            os.write(descriptor, _ONE)
    except OSError:
        return  # full: they are being woken already; or none of them is left
