"""Lists of record locks as several readings of /proc/locks return them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONG = "1: FLOCK  ADVISORY  WRITE 1 00:01:1 0 EOF\n" * 100
"""More locks than the kernel returns in one read."""


class Readings:
    """A file in place of /proc/locks: which locks the real one leaves out cannot be chosen."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = iter(texts)

    def read_text(self, encoding: str) -> str:
        """Return the next text."""
        return next(self._texts).encode(encoding).decode(encoding)
