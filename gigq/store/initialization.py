"""Beginning a queue at a path, for the processes that run its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.store import connect, migrate, new_file, queue_mark
from gigq.store.database import Database
from gigq.store.filesystem import resolve
from gigq.store.migrate import Begin

if TYPE_CHECKING:
    import os


def initialize(path: str | os.PathLike[str]) -> None:
    """Begin a queue at `path` whatever was there before, beside other tables too.

    A queue that is there is brought up to date and keeps its jobs.

    Raises:
        StoreError: the file cannot be made or used.
        OSError: nothing can be written beside it.
    """
    new_file.create(path)
    open_queue(Database(lambda: connect.open_connection(path)), path, Begin.ANYWHERE)


def prepare_file(path: str | os.PathLike[str]) -> Begin:
    """Create the file where no queue was before.

    Returns:
        Where the tables may be made: nowhere, if there was a queue before.

    Raises:
        NoQueue: there was a queue, and the file is missing or empty.
        StoreError: the file cannot be made.
    """
    real = resolve(path)
    queue_mark.refuse_lost(real)
    if queue_mark.held_queue(real):
        return Begin.NEVER
    new_file.create(real)
    return Begin.EMPTY


def open_queue(database: Database, path: str | os.PathLike[str], begin: Begin) -> None:
    """Make the tables or bring them up to date, and note that there is a queue at `path`.

    Raises:
        NoQueue: there is none, and none may be begun.
        StoreError: the file cannot be used.
        OSError: nothing can be written beside it.
    """
    migrate.apply(database, begin)
    queue_mark.note(resolve(path))
