"""Beginning a queue at a path, for the processes that run its jobs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreCorrupt, StoreUnavailable
from gigq.store import connect, health, migrate, new_file, queue_mark
from gigq.store.database import Database
from gigq.store.filesystem import resolve
from gigq.store.log_names import beside, the_log, together
from gigq.store.migrate import Begin

if TYPE_CHECKING:
    from collections.abc import Callable


def initialize(path: str | os.PathLike[str]) -> None:
    """Begin a queue at `path` whatever was there before, beside other tables too.

    A queue that is there is brought up to date and keeps its jobs.

    Raises:
        StoreError: the file cannot be made or used.
        OSError: nothing can be written beside it.
    """
    new_file.create(path)
    open_queue(Database(lambda: connect.open_connection(path)), path, Begin.ANYWHERE)


def prepare_file(path: str | os.PathLike[str], beat: Callable[[], None] | None = None) -> Begin:
    """Create the file where no queue was before.

    Args:
        path: the database file.
        beat: called now and then while the file is read.

    Returns:
        Where the tables may be made: nowhere, if there was a queue before.

    Raises:
        NoQueue: there was a queue, and the file is missing or empty.
        StoreCorrupt: the log beside the file is another one's.
        StoreError: the file cannot be made.
    """
    real = resolve(path)
    queue_mark.refuse_lost(real)
    refuse_foreign_log(real, beat)
    if queue_mark.held_queue(real):
        return Begin.NEVER
    new_file.create(real)
    return Begin.EMPTY


def refuse_foreign_log(path: str, beat: Callable[[], None] | None = None) -> None:
    """Refuse a file that was restored beside the log of the file before it.

    To open it would write the pages of that log into it. So it is read first, and without a change,
    if it was changed or put in place after its log was last written, as a checkpoint does too.

    Args:
        path: the database file.
        beat: called now and then while it is read.

    Raises:
        StoreCorrupt: with this log it is damaged; both are left as they are.
    """
    if not _came_after_log(path):
        return
    # Late: it loads `random`, which each job of a process that has it pays for.
    from gigq.store.reading import reading

    found = "ok"
    try:
        with suppress(StoreUnavailable), reading(path) as connection:
            if beat is not None:
                health.show_life(connection, beat)
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
    """Make the tables or bring them up to date, and note that there is a queue at `path`.

    Raises:
        NoQueue: there is none, and none may be begun.
        StoreError: the file cannot be used.
        OSError: nothing can be written beside it.
    """
    migrate.apply(database, begin)
    queue_mark.note(resolve(path))
