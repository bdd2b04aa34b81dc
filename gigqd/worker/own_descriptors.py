"""Detection of a job that has closed the descriptors of its worker.

The kernel gives their numbers to the next files that are opened. The worker would then write its
log and the database into files of the job.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NoReturn

from gigqd import exit_codes

_STDERR = 2
_SAID = b"gigqd: the job has closed descriptors of its worker, which exits and uses none of them\n"


class OwnDescriptors:
    """The highest descriptor of a worker, and standard error.

    A job that closes all descriptors from some number on closes the highest one, too. It is that of
    the kernel's list of open descriptors, so that one system call also returns their number.
    """

    def __init__(self) -> None:
        self._highest = os.open("/proc/self/fd", os.O_PATH | os.O_CLOEXEC)
        self._highest_file = os.fstat(self._highest)
        self._stderr_file = os.fstat(_STDERR)
        self._number = 0

    def exit_if_closed(self) -> None:
        """Exit at once if a job has closed one; standard error is part of the job's output."""
        try:
            found = os.fstat(self._highest)
        except OSError:
            _exit(self._stderr_file)
        if not os.path.samestat(found, self._highest_file):
            _exit(self._stderr_file)
        self._number = found.st_size

    def number_after_job(self) -> int:
        """Return the number of open descriptors after the last job; 0 on kernels before 6.2."""
        return self._number


def _exit(stderr: os.stat_result) -> NoReturn:
    """Exit, with a message if standard error is still that of the worker."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(_STDERR), stderr):
            os.write(_STDERR, _SAID)
    os._exit(exit_codes.WORKER_RESIDUE)
