"""Destination of log lines: one write for each line, which never raises."""

import array
import errno
import fcntl
import os
import select
import stat
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gigqd.config import DEVICES

WAIT_MS = 10
"""How long a line may wait for the reader of a pipe before it is dropped."""

_FIRST_FREE_FD = 3  # 0, 1 and 2 belong to the standard streams, even while they are closed
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_MODE = 0o640
_NOT_PLAIN = "it is not a plain file; remove it"


class Sink:
    """An open log, which writes lines whole, counts the dropped ones and follows a moved file.

    Args:
        path: the file to append to and to open again; None for a descriptor that stays.
        fd: a descriptor that is open already; None opens the path, or takes standard error.
        report: makes the line with the number of dropped lines.

    Attributes:
        path: the file's name; None when there is none to open again.
        dropped: how many lines were lost since the last one that was written.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, fd: int | None, report: Callable[[int], bytes]) -> None:
        self.dropped = 0
        self.path = path
        self._name = os.fsencode(path) if path is not None else b""
        self._report = report
        self._torn = False
        self._reader_stuck = False
        self._take(fd if fd is not None else 2 if path is None else open_log(path))
        if str(path) in _STREAMS:
            # Not to be opened again: a job's standard output is another one.
            self.path = None

    @property
    def fd(self) -> int:
        """Return the descriptor that is written to."""
        return self._fd

    def write(self, line: bytes) -> None:
        """Append one line, in one system call; drop and count it when that is impossible."""
        is_ours = self._is_ours()
        if self._has_moved(is_ours=is_ours):
            is_ours = self._try_to_reopen() is None or is_ours
        dropped = self.dropped
        if dropped:
            line = self._report(dropped) + line
        if not (is_ours and self._put(b"\n" + line if self._torn else line)):
            self.dropped += 1
        elif dropped:
            self.dropped -= dropped

    def reopen(self) -> None:
        """Open the file by its name again, under the same descriptor if a job has not closed that.

        Raises:
            OSError: it cannot be opened; the old file stays in use.
        """
        if self.path is None:
            return
        is_ours = self._is_ours()  # before a closed number is given out again
        fresh = open_log(self.path)
        self._redirect_streams(fresh)
        if not is_ours:
            self._take(fresh)
            return
        os.dup2(fresh, self._fd, inheritable=False)
        os.close(fresh)
        self._take(self._fd)

    def _redirect_streams(self, fresh: int) -> None:
        """Redirect standard output and error to the new file, if they led to the old one."""
        for stream in _STREAMS.values():
            if self._leads_here(stream):
                os.dup2(fresh, stream)

    def _take(self, fd: int) -> None:
        self._fd = fd
        self._identity: tuple[int, int] | None = None
        self._regular = False
        with suppress(OSError):  # a closed one: every line is dropped
            opened = os.fstat(fd)
            self._identity = opened.st_dev, opened.st_ino
            self._regular = stat.S_ISREG(opened.st_mode)

    def _is_ours(self) -> bool:
        # a job may close any descriptor, and the next file it opens gets the same number
        return self._leads_here(self._fd)

    def _leads_here(self, file: int | bytes) -> bool:
        """Return True when a descriptor or a name leads to the file that was opened."""
        try:
            found = os.stat(file)  # noqa: PTH116 - twice a line, so the shortest way
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def follow(self) -> OSError | None:
        """Open the file again if it was moved or deleted, which frees the room of a deleted one.

        Returns:
            The error when it cannot be opened. The moved file stays in use, which is better than
            none, and the next line tries again.
        """
        return self._try_to_reopen() if self._has_moved(is_ours=self._is_ours()) else None

    def _has_moved(self, *, is_ours: bool) -> bool:
        if self.path is None:
            return False
        return not is_ours or (self._regular and not self._leads_here(self._name))

    def _try_to_reopen(self) -> OSError | None:
        try:
            self.reopen()
        except OSError as error:
            return error
        return None

    def _put(self, data: bytes) -> bool:
        if not (self._regular or self._has_room(len(data))):
            return False
        try:
            written = os.write(self._fd, data)
        except OSError:
            return False
        if written:
            self._torn = written < len(data)
        return written == len(data)

    def _has_room(self, length: int) -> bool:
        """Return True when a pipe, socket or terminal accepts a line without blocking."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        ready = poll.poll(0 if self._reader_stuck else WAIT_MS)
        has_room = bool(ready) and _fits_in_pipe(self._fd, length)
        self._reader_stuck = not has_room
        return has_room


def open_log(path: Path) -> int:
    """Open a log file for appending, under a descriptor that no standard stream has.

    It follows no link and never blocks.

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
