"""Settlement and release of a worker's other claims while a long job runs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.store.database import Database

if TYPE_CHECKING:
    from gigq.execution.runner import Runner
    from gigq.store.backend import FileBackend
    from gigq.store.postgres.backend import DaemonBackend
    from gigqd.worker.reporting import WorkerReports


class ClaimRelease:
    """Settlement and release of claims in the middle of a job's code.

    It runs in a signal handler. So it uses a connection of its own, because the job may be using
    the worker's, waits for no lock and writes no log.

    Args:
        runner: the runner that holds the claims.
        backend: the database.
        reports: the reports of the worker, for the report that it holds no other claims.
    """

    def __init__(
        self, runner: Runner, backend: FileBackend | DaemonBackend, reports: WorkerReports
    ) -> None:
        self._runner = runner
        self._backend = backend
        self._reports = reports

    def release(self) -> None:
        """Settle or release all claims, or none after an error: the signal is then repeated."""
        if not self._runner.held:
            return
        try:
            with closing(self._backend.another_connection()) as connection:
                durable = self._runner.store.durable
                database = Database(lambda: connection, lock_timeout=0.0, durable=durable)
                self._runner.release_others(database)
        except StoreError:
            return
        self._reports.holds_nothing_else()
