"""The queue that the user named."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gigq.queue import JobQueue
from gigq.store.peek import refuse_without_queue

if TYPE_CHECKING:
    import argparse


def any_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """The queue that `--db` names; its database is made when it is missing."""
    return closing(JobQueue(args.db))


def existing_queue(args: argparse.Namespace) -> closing[JobQueue]:
    """The queue that `--db` names. Looking at a queue must not make one.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    refuse_without_queue(args.db)
    return any_queue(args)
