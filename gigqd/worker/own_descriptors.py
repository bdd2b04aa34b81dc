"""Detection of a job that has closed the descriptors of its worker.

The kernel gives their numbers to the next files that are opened. The worker would then write its
log and the database into files of the job.
"""

from __future__ import annotations

import os

from gigqd import exit_codes

_STDERR = 2
_SAID = b"gigqd: the job has closed descriptors of its worker, which exits and uses none of them\n"


class OwnDescriptors:
    """The highest descriptor of a worker, and standard error.

    A job that closes all descriptors from some number on closes the highest one, too.
    """

    def __init__(self) -> None:
        self._highest, end = os.pipe()
        os.close(end)
        self._highest_file = os.fstat(self._highest)
        self._stderr_file = os.fstat(_STDERR)

    def exit_if_closed(self) -> None:
        """Exit at once if a job has closed one; standard error is part of the job's output."""
        if not _is(self._highest, self._highest_file):
            if _is(_STDERR, self._stderr_file):
                os.write(_STDERR, _SAID)
            os._exit(exit_codes.WORKER_RESIDUE)


def _is(number: int, file: os.stat_result) -> bool:
    """Return True when a number still is that of an open file."""
    try:
        found = os.fstat(number)
    except OSError:
        return False
    return found.st_ino == file.st_ino and found.st_dev == file.st_dev
