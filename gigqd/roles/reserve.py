"""Descriptors kept back for the worker's own needs, should a job use up all others."""

from __future__ import annotations

import os
from contextlib import suppress

_SPARE = 16


class Reserve:
    """Some descriptors that are given up when there are no others left."""

    def __init__(self) -> None:
        self._kept = _open_some()

    def make_room(self) -> None:
        """See to it that some descriptors can be opened, as long as there is a reserve."""
        more = _open_some()
        scarce = len(more) < _SPARE
        _close(more)
        if scarce:
            _close(self._kept)


def _open_some() -> list[int]:
    """As many descriptors as can be had, up to what the worker may need at a time."""
    opened: list[int] = []
    with suppress(OSError):
        opened.extend(os.dup(0) for _ in range(_SPARE))
    return opened


def _close(descriptors: list[int]) -> None:
    while descriptors:
        with suppress(OSError):  # a job has closed it
            os.close(descriptors.pop())
