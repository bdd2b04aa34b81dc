"""Opening of the queue that `--db` names."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gigq.cli.readable import ReadableQueue
from gigq.model.status import JobStatus
from gigq.queue import JobQueue
from gigq.store import initialization
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.read_only import ReadingDatabase, refuse_without_queue
from gigq.store.sqlite import connections
from gigq.store.sqlite.file.filesystem import refuse_other_kind, resolve
from gigq.store.sqlite.processes import lock_holders

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


class _Queue(JobQueue):
    """A queue that creates no tables in a database of another program."""

    _begin = Begin.EMPTY


def any_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """Return the queue that `--db` names; create its database when it is missing."""
    refuse_other_kind(resolve(args.db))
    return closing(_Queue(args.db))


def queue_of_a_worker(args: argparse.Namespace) -> None:
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
    refuse_what_is_no_queue(args.db)
    return closing(ReadableQueue(args.db))


def queue_to_look_at(args: argparse.Namespace) -> JobQueue:
    """Return the queue that `--db` names for reading, which needs no write permission.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_what_is_no_queue(args.db)
    return _ReadQueue(args.db, initialize=False)


class _ReadQueue(ReadableQueue):
    """A read-only queue, which leaves no file."""

    @cached_property
    def _database(self) -> Database:
        assert self.db_path is not None
        return ReadingDatabase(resolve(self.db_path))


def is_abandoned(name: str, execution: Mapping[str, Any]) -> bool:
    """Return True when an attempt is recorded as running but its process has ended."""
    if execution["status"] != JobStatus.RUNNING.value:
        return False
    return lock_holders.is_gone(resolve(name), execution["run"]) is True


def refuse_what_is_no_queue(name: str) -> None:
    """Refuse a database without a queue, and leave the file unchanged.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_other_kind(resolve(name))
    refuse_without_queue(name)
