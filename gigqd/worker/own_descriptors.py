"""Detection of a job that has closed the descriptors of its worker.

The kernel gives their numbers to the next files that are opened. The worker would then write its
log and the database into files of the job.
"""

from __future__ import annotations

import os
from typing import Any

from gigqd import exit_codes

_STDERR = 2
_SAID = b"gigqd: the job has closed descriptors of its worker, which exits and uses none of them\n"


class OwnDescriptors:
    """The lowest and the highest descriptor of a worker, and standard error.

    Args:
        lowest: the lowest one.
    """

    def __init__(self, lowest: int) -> None:
        highest, end = os.pipe()
        os.close(end)
        self._lowest, self._lowest_file = lowest, _file_of(lowest)
        self._highest, self._highest_file = highest, _file_of(highest)
        self._stderr_file = _file_of(_STDERR)

    def exit_if_closed(self) -> None:
        """Exit at once if a job has closed one; standard error is part of the job's output."""
        if not (_is(self._lowest, self._lowest_file) and _is(self._highest, self._highest_file)):
            if _is(_STDERR, self._stderr_file):
                os.write(_STDERR, _SAID)
            os._exit(exit_codes.WORKER_RESIDUE)


def _is(number: int, file: Any) -> bool:
    """Return True when a number still is that of an open file."""
    try:
        return bool(_file_of(number) == file)
    except OSError:
        return False


def _file_of(number: int) -> Any:
    return os.fstat(number)[1:3]  # inode and device
