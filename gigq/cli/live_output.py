"""The output of a job while it runs: a file in the daemon's memory, found through /proc."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from gigq.cli.errors import HiddenOutputError
from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.processes.run_locks import companion_path, lock_descriptor, process_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gigq.store.named_database import Place

_CHUNK = 256 * 1024
_LONGEST_FILE_NAME = 249
_OFFSET_BITS = 62


class LiveOutput:
    """The growing output of a running attempt.

    The worker frees the beginning of the file, which is then left out, and empties the file for its
    next job. So after a read, callers check that the same attempt still runs.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def read(self) -> bytes:
        """Return the next part of the output; empty when nothing was added."""
        while True:
            size = os.fstat(self._descriptor).st_size
            if size < self._at:
                self._at = 0
            start = self._first_kept(size)
            chunk = os.pread(self._descriptor, min(_CHUNK, size - start), start)
            # A freed part reads as zeros, so read again if it was freed during the read.
            if self._first_kept(size) == start:
                break
        self._at = start + len(chunk)
        return chunk

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _first_kept(self, size: int) -> int:
        try:
            return min(size, os.lseek(self._descriptor, self._at, os.SEEK_DATA))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return size


def find(place: Place, execution: Mapping[str, Any]) -> LiveOutput | None:
    """Return the output of an attempt that a daemon runs.

    Args:
        place: where the processes that run the jobs of the database are found.
        execution: a row with `run` and `worker_id`.

    Returns:
        None when there is no output file, for example because the worker is ending.

    Raises:
        HiddenOutputError: this process may not, or cannot, read the daemon's descriptors.
    """
    pid = _process(place, execution["run"])
    if pid is None:
        return None
    if pid <= 0:
        raise HiddenOutputError(
            f"the daemon that runs this job is {_elsewhere(place)}; "
            "run gigq logs there, or wait for the job's end"
        )
    name = "gigqd-output:" + (execution["worker_id"] or "").rpartition("@")[0]
    try:
        return _opened(f"/proc/{pid}/fd", f"/memfd:{name[:_LONGEST_FILE_NAME]} (deleted)")
    except PermissionError as error:
        raise HiddenOutputError(
            f"this user may not look into the daemon that runs this job (pid {pid}); "
            "run gigq logs as root or as the daemon's user, or wait for the job's end"
        ) from error


def _process(place: Place, run: str) -> int | None:
    """Return the process of a run; 0 for one that is not seen from here, None when it is dead."""
    if place.may_be_elsewhere(run):
        return 0
    # A daemon of a database on a server has its locks in its own runtime directory.
    return process_of(run) if place.is_shared else _holder(place.paths[0], run)


def _elsewhere(place: Place) -> str:
    namespace = "in another container (pid namespace)"
    return f"on another host, or {namespace}" if place.is_shared else namespace


def _holder(database: str, run: str) -> int | None:
    """Return the process that holds a run; 0 in another namespace, None when it is dead."""
    number = run.split(":")[1]
    if not number.isdecimal() or int(number) >> _OFFSET_BITS:
        return None  # foreign SQL wrote it
    try:
        (companion_path(database) / "locks").stat()  # a look makes no file
        lock = record_lock.conflict(lock_descriptor(database), int(number))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise HiddenOutputError(
            f"this user may not read {error.filename}, whose locks show where the job runs; "
            "run gigq logs as root or as the daemon's user, or wait for the job's end"
        ) from error
    return lock.pid if lock else None


def _opened(folder: str, wanted: str) -> LiveOutput | None:
    try:
        with os.scandir(folder) as entries:
            found = next((e.path for e in entries if _target(e.path) == wanted), None)
        return None if found is None else LiveOutput(os.open(found, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None  # closed at this moment, or the daemon is gone


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - the target is no path
    except FileNotFoundError:
        return ""
