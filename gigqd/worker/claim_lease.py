"""The lease under which a worker claims jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigqd.ipc.scoreboard import Cell


class ClaimLease:
    """The daemon's lease at the last claim of a worker, for the check before a job starts.

    Args:
        cell: the worker's cell of the scoreboard.
        is_needed: False with a file, which has no leases.
    """

    def __init__(self, cell: Cell, *, is_needed: bool) -> None:
        self._cell = cell
        self._is_needed = is_needed
        self._number = 0

    def note_claim(self) -> None:
        """Note the lease, just before jobs are claimed."""
        if self._is_needed:
            self._number = self._cell.lease.number

    def is_over(self) -> bool:
        """Return True when another host may have taken the claimed jobs back by now."""
        if not self._is_needed:
            return False
        lease = self._cell.lease
        return lease.number != self._number or lease.left <= 0
