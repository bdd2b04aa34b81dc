"""Reserve of descriptors for the worker, in case a job uses all others."""

from __future__ import annotations

import os
from contextlib import suppress

_SPARE = 16


class ReservedDescriptors:
    """Sixteen descriptors that are closed when no others are left."""

    def __init__(self) -> None:
        self._kept = _open_some()

    def free_if_needed(self) -> None:
        """Close the reserve if fewer than 16 descriptors can be opened."""
        more = _open_some()
        scarce = len(more) < _SPARE
        _close(more)
        if scarce:
            _close(self._kept)


def _open_some() -> list[int]:
    """Open up to 16 descriptors, as many as the worker may need at a time."""
    opened: list[int] = []
    with suppress(OSError):
        opened.extend(os.dup(0) for _ in range(_SPARE))
    return opened


def _close(descriptors: list[int]) -> None:
    while descriptors:
        with suppress(OSError):  # a job has closed it
            os.close(descriptors.pop())
