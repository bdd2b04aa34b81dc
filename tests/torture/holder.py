"""Another program that holds the database's write lock: `python -m torture.holder FILE SECONDS`."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path


def hold(database: str, seconds: float) -> None:
    """Take the write lock, keep it, and give it back with nothing changed."""
    existing = f"{Path(database).as_uri()}?mode=rw"
    with closing(
        sqlite3.connect(existing, uri=True, timeout=30, isolation_level=None)
    ) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


if __name__ == "__main__":
    hold(sys.argv[1], float(sys.argv[2]))
