"""The job context in the daemon: deadline, stop and cancel requests of the current job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.job_context import PlainJobContext
    from gigq.model.claim import Claim
    from gigqd.ipc.scoreboard import Cell
    from gigqd.worker.reporting import WorkerReports


class DaemonJobContext:
    """The job context, read from the worker's cell and, for new cancel requests, the database.

    Args:
        plain: the job context that asks the database.
        cell: the worker's cell on the scoreboard.
        reports: the reports of the worker, which has the current job's deadline.
        exit_requested: returns True once the worker was asked to exit.
    """

    def __init__(
        self,
        plain: PlainJobContext,
        cell: Cell,
        reports: WorkerReports,
        exit_requested: Callable[[], bool],
    ) -> None:
        self._plain = plain
        self._cell = cell
        self._reports = reports
        self._exit_requested = exit_requested

    def deadline(self, _claim: Claim) -> float | None:
        """Return when the supervisor interrupts the job, on the monotonic clock, or None."""
        self._plain.reset()
        return self._reports.deadline or None

    def stop_requested(self) -> bool:
        """Return True when the daemon stops, or this worker received SIGTERM."""
        return self._cell.orders().stopping or self._exit_requested()

    def cancel_requested(self, claim: Claim) -> bool:
        """Return True when the job's cancel was requested."""
        orders = self._cell.orders()
        interrupted = (
            orders.cause is Cause.CANCELLED and orders.to_interrupt == self._reports.started
        )
        return interrupted or self._plain.cancel_requested(claim)
