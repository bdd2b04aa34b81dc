"""The file in a daemon's memory with the output of a running job, found through /proc."""

from __future__ import annotations

import errno
import os

_CHUNK = 256 * 1024
_LONGEST_FILE_NAME = 249


class OutputFile:
    """The growing output of a running attempt.

    The worker frees the beginning of the file, which is then left out, and empties the file for its
    next job. So after a read, callers check that the same attempt still runs.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = self._before = 0

    @property
    def position(self) -> int:
        """The bytes of output until the end of the last read."""
        return self._before + self._at

    def read(self, last: int | None = None) -> bytes:
        """Return the next part of the output; empty when nothing was added.

        Args:
            last: the number of bytes to return at most, those at the end of the file; None for
                the next ones.
        """
        while True:
            size = os.fstat(self._descriptor).st_size
            if size < self._at:  # the job has emptied it
                self._before += self._at
                self._at = 0
            start = self._first_kept(size, last)
            chunk = os.pread(self._descriptor, min(last or _CHUNK, size - start), start)
            # A freed part reads as zeros, so read again if it was freed during the read.
            if self._first_kept(size, last) == start:
                break
        self._at = start + len(chunk)
        return chunk

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _first_kept(self, size: int, last: int | None) -> int:
        first = self._at if last is None else max(self._at, size - last)
        try:
            return min(size, os.lseek(self._descriptor, first, os.SEEK_DATA))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return size


def open_output(pid: int, worker_id: str | None) -> OutputFile | None:
    """Open the output of a worker's job.

    Args:
        pid: the daemon's supervisor.
        worker_id: the name of the worker.

    Returns:
        None when there is no file, for example because the worker is ending.

    Raises:
        PermissionError: this process may not look at the daemon's descriptors.
    """
    name = "gigqd-output:" + (worker_id or "").partition("@")[0]
    folder, wanted = f"/proc/{pid}/fd", f"/memfd:{name[:_LONGEST_FILE_NAME]} (deleted)"
    try:
        with os.scandir(folder) as entries:
            found = next((e.path for e in entries if _target(e.path) == wanted), None)
        return None if found is None else OutputFile(os.open(found, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None  # closed at this moment, or the daemon is gone


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - the target is no path
    except FileNotFoundError:
        return ""
