"""The doorbell: one byte in a FIFO wakes one idle worker, from any process on the host.

A ring is a hint and nothing more. Nobody may be listening, the pipe may be full, the byte may
wake a worker that finds nothing; whoever waits looks again by itself after a while.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from gigq.store.filesystem import resolve
from gigq.store.liveness import companion, companion_path

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = "bell"
_ONE = b"\0"
_MANY = 65536
_ALL = 256
_TO_RING = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Bell:
    """The listening end. Each listener has its own; a ring wakes one of those that wait.

    Before sleeping, `drain` and then look for work once more: what was rung for before the
    drain is in the database by then.
    """

    def __init__(self, database_path: str | os.PathLike[str]) -> None:
        self._database_path = database_path
        self._open()

    def _open(self) -> None:
        path = companion(self._database_path) / _NAME
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Open for writing too: with no writer left, the pipe would look ready for ever.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._pipe = os.fstat(self._descriptor)

    def fileno(self) -> int:
        """The descriptor that becomes readable at a ring."""
        return self._descriptor

    def renew(self) -> bool:
        """Hang the bell up again if somebody has deleted it, and wake who listens to the old one.

        Returns:
            Whether it was gone. Whoever rang meanwhile was not heard.
        """
        path = companion_path(self._database_path) / _NAME
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), self._pipe):  # noqa: PTH116 - at every wait
                return False
        for _ in range(_ALL):
            self.ring()
        self.close()
        self._open()
        return True

    def ring(self) -> None:
        """Wake one of those who listen to this very bell, wherever it has got to."""
        with contextlib.suppress(BlockingIOError):  # it is full: they are being woken already
            os.write(self._descriptor, _ONE)

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until a ring, input on one of the descriptors `others`, or `timeout` seconds.

        Returns:
            True when there was something; a ring has then been taken.
        """
        self.renew()
        deadline = time.monotonic() + timeout
        with select.epoll() as poll:
            # Exclusive: of many that wait, the kernel wakes one for one byte.
            poll.register(self._descriptor, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            for other in others:
                poll.register(other, select.EPOLLIN)
            while ready := poll.poll(max(deadline - time.monotonic(), 0)):
                # Whoever was about to sleep may have taken the ring that woke this one.
                if self.take() or any(descriptor != self._descriptor for descriptor, _ in ready):
                    return True
        return False

    def take(self) -> bool:
        """Take one ring, leaving the others to other listeners. False when there was none."""
        return self._read(1)

    def drain(self) -> bool:
        """Take all rings: they were for jobs that are gone, or that a look will find."""
        return self._read(_MANY)

    def close(self) -> None:
        """Stop listening."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self, size: int) -> bool:
        try:
            return bool(os.read(self._descriptor, size))
        except BlockingIOError:
            return False


def ring(database_path: str | os.PathLike[str]) -> None:
    """Wake one idle worker, if there is one. Never blocks and never raises."""
    # No listener, a full pipe, a missing folder or no rights: the worker's own look will do.
    with contextlib.suppress(OSError):
        descriptor = os.open(_path_beside(resolve(database_path)), _TO_RING)
        try:
            os.write(descriptor, _ONE)
        finally:
            os.close(descriptor)


@lru_cache(maxsize=256)
def _path_beside(real: str) -> str:
    return str(companion_path(real) / _NAME)
