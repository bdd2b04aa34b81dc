"""Settlement and release of a worker's other claims while a long job runs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.store.database import Database
from gigq.store.sqlite.connections import open_another

if TYPE_CHECKING:
    from gigq.execution.runner import Runner
    from gigqd.worker.reporting import WorkerReports


class ClaimRelease:
    """Settlement and release of claims in the middle of a job's code.

    It runs in a signal handler. So it uses a connection of its own, because the job may be using
    the worker's, waits for no lock and writes no log.

    Args:
        runner: the runner that holds the claims.
        path: the database file.
        reports: the reports of the worker, for the report that it holds no other claims.
    """

    def __init__(self, runner: Runner, path: str, reports: WorkerReports) -> None:
        self._runner = runner
        self._path = path
        self._reports = reports

    def release(self) -> None:
        """Settle or release all claims, or none after an error: the signal is then repeated."""
        if not self._runner.held:
            return
        try:
            with closing(open_another(self._path)) as connection:
                durable = self._runner.store.durable
                database = Database(lambda: connection, lock_timeout=0.0, durable=durable)
                self._runner.release_others(database)
        except StoreError:
            return
        self._reports.holds_nothing_else()
