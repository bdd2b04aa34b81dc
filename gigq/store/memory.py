"""Connections to databases in the memory of this process."""

from __future__ import annotations

import sqlite3


class MemoryConnection(sqlite3.Connection):
    """A connection that is closed with its last reference, without Python's warning of that."""

    def __del__(self) -> None:
        self.close()
