"""Detection of a job that has closed the descriptors of its worker.

The kernel gives their numbers to the next files that are opened. The worker would then write its
log and the database into files of the job. Without a file of the database every settlement fails.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from gigq.store.sqlite.file.filesystem import resolve
from gigq.store.sqlite.file.identity import file_id
from gigq.store.sqlite.file.wal_file_names import SUFFIXES
from gigqd import exit_codes
from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STDERR = 2
_SAID = b"gigqd: the job has closed descriptors of its worker, which exits and uses none of them\n"


class OwnDescriptors:
    """The highest descriptor of a worker, standard error, and the files of the database.

    A job that closes all descriptors from some number on closes the highest one, too. It is that of
    the kernel's list of open descriptors, so that one system call also returns their number. The
    files of the database are opened later and get higher ones: they are looked for when the number
    is smaller than after the job before.

    Args:
        database: the database file; None for a server.
        held: returns the connection of this thread, or None.
    """

    def __init__(self, database: Path | None, held: Callable[[], Any]) -> None:
        path = database and resolve(database)
        self._database_files = [f"{path}{suffix}" for suffix in ("", *SUFFIXES)] if path else []
        self._held = held
        self._highest = os.open("/proc/self/fd", os.O_PATH | os.O_CLOEXEC)
        self._highest_file = os.fstat(self._highest)
        self._stderr_file = os.fstat(_STDERR)
        self._number = sys.maxsize

    def exit_if_closed(self) -> None:
        """Exit at once if a job has closed one; standard error is part of the job's output."""
        try:
            found = os.fstat(self._highest)
        except OSError:
            _exit(self._stderr_file)
        if not os.path.samestat(found, self._highest_file):
            _exit(self._stderr_file)
        if found.st_size < self._number and self._has_lost_database():
            _exit(self._stderr_file)
        self._number = found.st_size

    def number_after_job(self) -> int:
        """Return the number of open descriptors after the last job; 0 on kernels before 6.2."""
        return self._number

    def _has_lost_database(self) -> bool:
        """Return True when a file of the open connection to the database is not open any more."""
        if self._held() is None:
            return False
        try:
            numbers = syscalls.open_descriptors()
        except OSError:  # a job has hidden /proc, as by a change of its root directory
            return False
        opened = set()
        for number in numbers:
            with suppress(OSError):
                found = os.fstat(number)
                opened.add((found.st_dev, found.st_ino))
        expected = filter(None, map(file_id, self._database_files))
        return not opened.issuperset(expected)


def _exit(stderr: os.stat_result) -> NoReturn:
    """Exit, with a message if standard error is still that of the worker."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(_STDERR), stderr):
            os.write(_STDERR, _SAID)
    os._exit(exit_codes.WORKER_RESIDUE)
