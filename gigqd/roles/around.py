"""What a job in the daemon is told of its limits when it asks."""

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
    """Answers from the worker's cell; it asks the database only what the cell does not tell yet.

    Args:
        worker: the worker that runs the job.
        cell: the worker's place on the scoreboard.
        line: knows the current job's deadline.
        is_leaving: whether the worker itself was told to leave.
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
        """When the supervisor asks the job to end."""
        self._plain = None
        return self._line.deadline or None

    def stop_requested(self) -> bool:
        """Whether the daemon stops, or this worker was sent TERM."""
        return self._cell.orders().stopping or self._is_leaving()

    def cancel_requested(self, claim: Claim) -> bool:
        """Whether the job was told to end because it is cancelled, or is about to be."""
        orders = self._cell.orders()
        told = orders.cause is Cause.CANCELLED and orders.asked == self._line.started
        self._plain = self._plain or PlainSurroundings(self._worker)
        return told or self._plain.cancel_requested(claim)
