"""Open the queue that `--db` names, with the rules of each command."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING

from gigq.cli.unreadable_values import ReadableQueue
from gigq.queue import JobQueue
from gigq.store import initialization
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.read_only import ReadingDatabase, refuse_without_queue
from gigq.store.sqlite import connections
from gigq.store.sqlite.file.filesystem import refuse_other_kind, resolve

if TYPE_CHECKING:
    import argparse


class _Queue(JobQueue):
    """A queue that creates no tables in a database of another program."""

    _begin = Begin.EMPTY


def queue_for_submit(args: argparse.Namespace) -> closing[JobQueue]:
    """Return the queue that `--db` names; create its database when it is missing."""
    refuse_other_kind(resolve(args.db))
    return closing(_Queue(args.db))


def prepare_worker_queue(args: argparse.Namespace) -> None:
    """Prepare the queue that `--db` names for a worker.

    Where a queue existed before, only `--init` creates a new one.

    Raises:
        StoreError: the database cannot be used, or was lost.
    """
    refuse_other_kind(resolve(args.db))
    if args.init:
        initialization.initialize(args.db)
    else:
        begin = initialization.prepare_file(args.db)
        database = Database(lambda: connections.open_connection(args.db))
        initialization.open_queue(database, args.db, begin)
    connections.require(args.db)


def existing_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """Return the queue that `--db` names, without creating one.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    require_queue(args.db)
    return closing(ReadableQueue(args.db))


def queue_for_reading(args: argparse.Namespace) -> JobQueue:
    """Return the queue that `--db` names for reading, which needs no write permission.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    require_queue(args.db)
    return _ReadQueue(args.db, initialize=False)


class _ReadQueue(ReadableQueue):
    """A read-only queue, which leaves no file."""

    @cached_property
    def _database(self) -> Database:
        assert self.db_path is not None
        return ReadingDatabase(resolve(self.db_path))


def require_queue(name: str) -> None:
    """Refuse a database without a queue, and leave the file unchanged.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_other_kind(resolve(name))
    refuse_without_queue(name)
