"""The job context in the daemon: deadline, stop and cancel requests of the current job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cause import Cause
from gigq.surroundings import PlainSurroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.claim import Claim
    from gigq.worker import Worker
    from gigqd.roles.line import Line
    from gigqd.scoreboard import Cell


class AroundJob:
    """The job context, read from the worker's cell and, for new cancel requests, the database.

    Args:
        worker: the worker that runs the job.
        cell: the worker's cell on the scoreboard.
        line: the reporting of the worker, which has the current job's deadline.
        is_leaving: returns True once the worker was asked to exit.
    """

    def __init__(
        self, worker: Worker, cell: Cell, line: Line, is_leaving: Callable[[], bool]
    ) -> None:
        self._worker = worker
        self._cell = cell
        self._line = line
        self._is_leaving = is_leaving
        self._plain: PlainSurroundings | None = None

    def deadline(self, claim: Claim) -> float | None:  # noqa: ARG002 - the protocol
        """Return when the supervisor interrupts the job, on the monotonic clock, or None."""
        self._plain = None
        return self._line.deadline or None

    def stop_requested(self) -> bool:
        """Return True when the daemon stops, or this worker received SIGTERM."""
        return self._cell.orders().stopping or self._is_leaving()

    def cancel_requested(self, claim: Claim) -> bool:
        """Return True when the job's cancel was requested."""
        orders = self._cell.orders()
        interrupted = orders.cause is Cause.CANCELLED and orders.asked == self._line.started
        self._plain = self._plain or PlainSurroundings(self._worker)
        return interrupted or self._plain.cancel_requested(claim)
