"""Where log lines go: one write a line, and nothing that goes wrong there ever raises."""

import array
import errno
import fcntl
import os
import select
import stat
import termios
from collections.abc import Callable
from pathlib import Path

from gigqd.config import DEVICES

WAIT_MS = 10
"""How long a line may wait for the reader of a pipe before it is dropped."""

_FIRST_FREE_FD = 3  # 0, 1 and 2 belong to the standard streams, even while they are closed
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_MODE = 0o640
_NOT_PLAIN = "it is not a plain file; remove it"

Identity = tuple[int, int]


class Sink:
    """One open log: writes lines whole, counts those it had to drop, follows a moved file.

    Args:
        path: the file to append to and to open again; None for a descriptor that stays.
        fd: a descriptor that is open already; None opens the path, or takes standard error.
        report: makes the line that tells how many lines were dropped.

    Attributes:
        path: the file's name; None when there is none to open again.
        dropped: how many lines were lost since the last one that was written.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, fd: int | None, report: Callable[[int], bytes]) -> None:
        self.dropped = 0
        self.path = path
        self._report = report
        self._torn = False
        self._reader_stuck = False
        self._take(fd if fd is not None else 2 if path is None else open_log(path))
        if str(path) in _STREAMS:
            # Not to be opened again: a job's standard output is another one.
            self.path = None

    @property
    def fd(self) -> int:
        """The descriptor that is written to."""
        return self._fd

    def write(self, line: bytes) -> None:
        """Append one line, in one system call; drop and count it when that is impossible."""
        self.follow()
        dropped = self.dropped
        data = b"\n" if self._torn else b""
        data += (self._report(dropped) if dropped else b"") + line
        if self._put(data):
            self.dropped -= dropped
        else:
            self.dropped += 1

    def reopen(self) -> None:
        """Open the file by its name again, under the same descriptor if it is still ours.

        Raises:
            OSError: it cannot be opened; the old file stays in use.
        """
        if self.path is None:
            return
        fresh = open_log(self.path)
        self._redirect_streams(fresh)
        if not self._is_ours():
            self._take(fresh)
            return
        os.dup2(fresh, self._fd, inheritable=False)
        os.close(fresh)
        self._take(self._fd)

    def _redirect_streams(self, fresh: int) -> None:
        """Have standard output and error follow, where they led to the old file."""
        for stream in _STREAMS.values():
            if self._identity is not None and _identity_of_fd(stream) == self._identity:
                os.dup2(fresh, stream)

    def _take(self, fd: int) -> None:
        self._fd = fd
        self._identity = _identity_of_fd(fd)
        self._regular = self._identity is not None and stat.S_ISREG(os.fstat(fd).st_mode)

    def _is_ours(self) -> bool:
        # a job may close any descriptor, and the next file it opens gets the same number
        return self._identity is not None and _identity_of_fd(self._fd) == self._identity

    def follow(self) -> OSError | None:
        """Open the file again if it was moved or deleted, which frees the room of a deleted one.

        Returns:
            The error when it cannot be opened. The moved file stays in use, which is better than
            none, and the next line tries again.
        """
        if self.path is None:
            return None
        if self._is_ours() and (not self._regular or _identity(self.path) == self._identity):
            return None
        try:
            self.reopen()
        except OSError as error:
            return error
        return None

    def _put(self, data: bytes) -> bool:
        if not self._is_ours() or not (self._regular or self._has_room(len(data))):
            return False
        try:
            written = os.write(self._fd, data)
        except OSError:
            return False
        if written:
            self._torn = written < len(data)
        return written == len(data)

    def _has_room(self, length: int) -> bool:
        """Whether a pipe, socket or terminal would take a line without blocking the writer."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        ready = poll.poll(0 if self._reader_stuck else WAIT_MS)
        has_room = bool(ready) and _fits_in_pipe(self._fd, length)
        self._reader_stuck = not has_room
        return has_room


def open_log(path: Path) -> int:
    """Open a log file for appending, under a descriptor that no standard stream has.

    A link is not followed, and nothing is waited for.

    Raises:
        OSError: it cannot be opened or created, or is neither a plain file nor one of `DEVICES`.
    """
    fd = _open(path)
    if fd >= _FIRST_FREE_FD:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD)
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    stream = _STREAMS.get(str(path))
    if stream is not None:
        return os.dup(stream)
    try:
        fd = os.open(path, _FLAGS | os.O_NOFOLLOW, _MODE)
    except OSError as error:
        # A FIFO that has no reader.
        raise OSError(error.errno, _NOT_PLAIN) if error.errno == errno.ENXIO else error from None
    if not stat.S_ISREG(os.fstat(fd).st_mode) and str(path) not in DEVICES:
        os.close(fd)
        raise OSError(errno.EINVAL, _NOT_PLAIN)
    return fd


def _fits_in_pipe(fd: int, length: int) -> bool:
    if length <= select.PIPE_BUF or not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return True
    held = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, held)
        capacity = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except OSError:
        return False
    # the kernel keeps pages, not bytes: what is in the pipe may take up to twice its size
    return 2 * held[0] + length <= capacity


def _identity_of_fd(fd: int) -> Identity | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _identity(path: Path) -> Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - once a line, so the shortest way
    except OSError:
        return None
    return status.st_dev, status.st_ino
