"""Read-only check that a file contains a queue."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gigq.errors import StoreUnavailable
from gigq.store.dialect import SQLITE
from gigq.store.read_only import reading
from gigq.store.sqlite.closing import turn_to_read
from gigq.store.sqlite.errors import translated
from gigq.store.sqlite.file.filesystem import refuse_network, resolve
from gigq.store.statements import statements


def refuse_without_queue(path: str | os.PathLike[str]) -> None:
    """Refuse a file without a queue, which opening would create.

    Args:
        path: the database file.

    Raises:
        StoreUnavailable: the file does not exist, cannot be read, or has no queue.
        StoreCorrupt: the file is not a database.
        UnsupportedStore: the path is not a file, or on a network file system.
    """
    real = resolve(path)
    refuse_network(real)
    _refuse_unreadable(real, os.fspath(path))
    tables = _tables(real)
    if "jobs" not in tables:
        other = any(not name.startswith("sqlite_") for name in tables)
        remedy = "it has tables of another program" if other else "submit a job first"
        name = "name another file" if other else "or name another"
        raise StoreUnavailable(f"{path} has no queue in it; {remedy}, {name}")


def _refuse_unreadable(path: str, shown: str) -> None:
    # Without opening it: closing a file that SQLite has open in this process drops its locks.
    try:
        found = Path(path).stat()
    except OSError as error:
        raise StoreUnavailable(
            f"there is no database {shown} ({error.strerror}); submit a job first, or name another"
        ) from error
    if not os.access(path, os.R_OK):
        raise StoreUnavailable(
            f"{shown} may not be read by this user; it belongs to user {found.st_uid}"
        ) from PermissionError(shown)


def _tables(path: str) -> set[str]:
    try:
        with turn_to_read(path), reading(path) as connection:
            rows = connection.execute(statements(SQLITE)["table_names"]).fetchall()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return {name for (name,) in rows}
