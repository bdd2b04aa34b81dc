"""Creation of a queue at a path, for the processes that run its jobs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreCorrupt, StoreUnavailable
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.sqlite import connections, initialized_mark, probe
from gigq.store.sqlite.file import new_file
from gigq.store.sqlite.file.filesystem import resolve
from gigq.store.sqlite.file.wal_file_names import beside, the_log, together

if TYPE_CHECKING:
    from collections.abc import Callable


def initialize(path: str | os.PathLike[str]) -> None:
    """Create a queue at `path` in any case, also beside other tables.

    An existing queue is migrated and keeps its jobs.

    Raises:
        StoreError: the file cannot be created or used.
        OSError: no file can be written beside it.
    """
    new_file.create(path)
    open_queue(Database(lambda: connections.open_connection(path)), path, Begin.ANYWHERE)


def prepare_file(
    path: str | os.PathLike[str], heartbeat: Callable[[], None] | None = None
) -> Begin:
    """Create the file if there was no queue before.

    Args:
        path: the database file.
        heartbeat: called every few milliseconds while the file is read.

    Returns:
        The databases in which the tables may be created: none if there was a queue before.

    Raises:
        NoQueue: there was a queue, and the file is missing or empty.
        StoreCorrupt: the log beside the file belongs to another file.
        StoreError: the file cannot be created.
    """
    real = resolve(path)
    initialized_mark.refuse_lost(real)
    refuse_foreign_log(real, heartbeat)
    if initialized_mark.held_queue(real):
        return Begin.NEVER
    new_file.create(real)
    return Begin.EMPTY


def refuse_foreign_log(path: str, heartbeat: Callable[[], None] | None = None) -> None:
    """Refuse a file that was restored beside the log of the file before it.

    Opening it would write the pages of that log into it. So a file that is newer than its log is
    checked first, without a change. A checkpoint makes a file newer than its log, too.

    Args:
        path: the database file.
        heartbeat: called every few milliseconds while it is read.

    Raises:
        StoreCorrupt: with this log it is damaged; both are left as they are.
    """
    if not _came_after_log(path):
        return
    # Imported late: it loads `random`, which costs time at each job of a process that has it.
    from gigq.store.read_only import reading

    found = "ok"
    try:
        with suppress(StoreUnavailable), reading(path) as connection:
            if heartbeat is not None:
                probe.call_during_statements(connection, heartbeat)
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise StoreCorrupt(
            f"{path} and {path}-wal do not belong together, or are damaged ({found}); if the file "
            f"was restored, move {the_log(path)} away. Otherwise keep {together(beside(path))} and "
            "restore a backup"
        )


def _came_after_log(path: str) -> bool:
    try:
        file, log = os.stat(path), os.stat(f"{path}-wal")  # noqa: PTH116
        os.stat(f"{path}-shm")  # noqa: PTH116 - without it, reading would take a copy
    except OSError:
        return False
    return log.st_size > 0 and file.st_ctime_ns > log.st_mtime_ns


def open_queue(database: Database, path: str | os.PathLike[str], begin: Begin) -> None:
    """Create or migrate the tables, and mark that there is a queue at `path`.

    Raises:
        NoQueue: there is no queue, and none may be created.
        StoreError: the file cannot be used.
        OSError: no file can be written beside it.
    """
    migrate.apply(database, begin)
    initialized_mark.note(resolve(path))
