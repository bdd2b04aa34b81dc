"""Letting go of what a worker holds besides a job that takes longer than the others may wait."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.store.connect import open_another
from gigq.store.database import Database

if TYPE_CHECKING:
    from gigq.worker import Worker
    from gigqd.roles.line import Line


class Meanwhile:
    """Settles endings and hands back claims in the middle of a job's code.

    It runs in a signal handler. So it uses a connection of its own, as the job may be using the
    worker's; waits for no lock; and writes no log.

    Args:
        worker: holds the claims.
        path: the database file.
        line: is told when nothing is held any more.
    """

    def __init__(self, worker: Worker, path: str, line: Line) -> None:
        self._worker = worker
        self._path = path
        self._line = line

    def let_go(self) -> None:
        """Let go of everything, or of nothing while the database is away: it is asked again."""
        if not self._worker.held:
            return
        try:
            with closing(open_another(self._path)) as connection:
                durable = self._worker.durable
                database = Database(lambda: connection, lock_timeout=0.0, durable=durable)
                self._worker.settle_meanwhile(database)
        except StoreError:
            return
        self._line.holds_nothing_else()
