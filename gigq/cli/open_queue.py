"""Open the queue that `--db` names, with the rules of each command."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING

from gigq.cli.unreadable_values import ReadableQueue
from gigq.queue import JobQueue
from gigq.store import named_database
from gigq.store.migrate import Begin
from gigq.store.verbs import live_output

if TYPE_CHECKING:
    import argparse

    from gigq.store.database import Database, Row
    from gigq.store.named_database import Place
    from gigq.store.verbs.live_output import Part


class _Queue(JobQueue):
    """A queue that creates no tables in a database of another program."""

    _begin = Begin.EMPTY


def queue_for_submit(args: argparse.Namespace) -> closing[JobQueue]:
    """Return the queue that `--db` names; create its database when it is missing."""
    named_database.refuse_other_files(args.db)
    return closing(_Queue(args.db))


def existing_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """Return the queue that `--db` names, without creating one.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    named_database.require_queue(args.db)
    return closing(ReadableQueue(args.db))


def queue_for_reading(args: argparse.Namespace) -> closing[ReadQueue]:
    """Return the queue that `--db` names for reading, which needs no write permission.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    named_database.require_queue(args.db)
    return closing(ReadQueue(args.db, initialize=False))


class ReadQueue(ReadableQueue):
    """A queue that is only read. It leaves no file, and changes no job on a server."""

    @cached_property
    def place(self) -> Place:
        """The place at which the processes that run its jobs are found."""
        return named_database.find_place(str(self.db_path))

    @cached_property
    def _database(self) -> Database:
        return named_database.open_for_reading(str(self.db_path))

    def request_output(self, execution_id: str, in_queue: str, *, first: bool) -> None:
        """Request the output of an attempt on another host, or renew the request.

        Args:
            execution_id: the attempt.
            in_queue: the queue of its job.
            first: True to notify the daemons, which find the request within a second otherwise.

        Raises:
            StoreError: the role may not do that, or the server takes no writes.
        """
        if live_output.request(self._database, execution_id) and first:
            self._wake({in_queue: 1})

    def state_of_output(self, execution_id: str) -> Row | None:
        """Return the answer to the request, and the process that runs the attempt."""
        return live_output.state(self._database, execution_id)

    def stored_output(self, execution_id: str, position: int) -> list[Part]:
        """Return the parts of an attempt's output that are stored after a position."""
        return live_output.parts(self._database, execution_id, position)
