"""What a worker tells whoever watches it: the seam through which the daemon follows a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gigq.claim import Claim, Settled
    from gigq.outcome import ExecutionResult


class WorkerObserver(Protocol):
    """Watches one worker, in the thread that runs the job. What it raises is not caught.

    For one job the order is `claiming`, `started`, `ended`, `settled`. Settling one job and
    claiming the next is a single transaction, so `claiming` for the next comes before `settled`
    for the last.
    """

    def claiming(self, execution_id: str) -> None:
        """A claim is about to be made under this execution id; it may find nothing."""

    def started(self, claim: Claim) -> None:
        """The attempt is stored, and the function has not been looked for yet."""

    def ended(self, claim: Claim, result: ExecutionResult) -> ExecutionResult:
        """The function is over. What is returned, perhaps with more detail, is settled."""
        ...

    def settled(self, claim: Claim, settled: Settled | None) -> None:
        """The result is stored; None when the execution was no longer the current one."""


class SilentObserver:
    """Watches nothing; the plain worker's."""

    def claiming(self, execution_id: str) -> None:
        """Nothing to do."""

    def started(self, claim: Claim) -> None:
        """Nothing to do."""

    def ended(self, claim: Claim, result: ExecutionResult) -> ExecutionResult:  # noqa: ARG002 - the protocol
        """The result as it is."""
        return result

    def settled(self, claim: Claim, settled: Settled | None) -> None:
        """Nothing to do."""
