"""The lease under which a worker claims jobs, on a PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.lease import Lease

if TYPE_CHECKING:
    from gigq.execution.callbacks import Callbacks
    from gigq.model.claim import Claim
    from gigqd.ipc.scoreboard import Cell


def guarded(given: Callbacks, cell: Cell) -> Callbacks:
    """Return callbacks of a worker that start no job which another host may have taken back.

    The supervisor learns from the cell under which lease the job was claimed, and ends it when that
    lease is over, also when the daemon has another one by then.

    Args:
        given: the callbacks.
        cell: the worker's cell of the scoreboard, with the daemon's lease.
    """
    number_at_claim = 0

    def may_claim() -> bool:
        nonlocal number_at_claim
        number_at_claim, _ends = cell.lease
        return given.may_claim()

    def may_start(claim: Claim) -> bool:
        cell.write_claim_lease(number_at_claim)
        lease = Lease(*cell.lease)
        return lease.number == number_at_claim and lease.left > 0 and given.may_start(claim)

    return given._replace(may_claim=may_claim, may_start=may_start)
