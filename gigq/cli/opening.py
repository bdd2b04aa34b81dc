"""The queue that the user named."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gigq.cli.readable import ReadableQueue
from gigq.queue import JobQueue
from gigq.status import JobStatus
from gigq.store import connect, initialization, serving
from gigq.store.database import Database
from gigq.store.filesystem import refuse_other_kind, resolve
from gigq.store.migrate import Begin
from gigq.store.peek import refuse_without_queue
from gigq.store.reading import ReadingDatabase

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


class _Queue(JobQueue):
    """A queue for the command line: it makes no tables beside those of another program."""

    _begin = Begin.EMPTY


def any_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """The queue that `--db` names; its database is made when it is missing."""
    refuse_other_kind(resolve(args.db))
    return closing(_Queue(args.db))


def queue_of_a_worker(args: argparse.Namespace) -> None:
    """Make the queue that `--db` names ready for a worker.

    Where a queue existed before, a new one is made only with `--init`.

    Raises:
        StoreError: the database cannot be used, or was lost.
    """
    refuse_other_kind(resolve(args.db))
    if args.init:
        initialization.initialize(args.db)
    else:
        begin = initialization.prepare_file(args.db)
        database = Database(lambda: connect.open_connection(args.db))
        initialization.open_queue(database, args.db, begin)
    connect.require(args.db)


def existing_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """The queue that `--db` names. Looking at a queue must not make one.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_what_is_no_queue(args.db)
    return closing(ReadableQueue(args.db))


def queue_to_look_at(args: argparse.Namespace) -> JobQueue:
    """The queue that `--db` names, to be read only: it needs no right to write, and leaves no file.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_what_is_no_queue(args.db)
    return _ReadQueue(args.db, initialize=False)


class _ReadQueue(ReadableQueue):
    """A queue that is only read."""

    @cached_property
    def _database(self) -> Database:
        assert self.db_path is not None
        return ReadingDatabase(resolve(self.db_path))


def is_abandoned(name: str, execution: Mapping[str, Any]) -> bool:
    """Return True when an attempt is recorded as running and the process that ran it has ended."""
    if execution["status"] != JobStatus.RUNNING.value:
        return False
    return serving.is_gone(resolve(name), execution["run"]) is True


def refuse_what_is_no_queue(name: str) -> None:
    """Refuse a name at which there is no queue, and leave the file as it is.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_other_kind(resolve(name))
    refuse_without_queue(name)
