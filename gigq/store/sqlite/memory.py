"""Connections to databases in the memory of this process."""

from __future__ import annotations

import sqlite3


class MemoryConnection(sqlite3.Connection):
    """A connection that its last reference closes, without Python's warning."""

    def __del__(self) -> None:
        self.close()
