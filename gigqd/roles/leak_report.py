"""Logs what a job has left, and reports it to the supervisor, which sees all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigqd import logs

if TYPE_CHECKING:
    from gigq.claim import Claim
    from gigqd.roles.leak_check import Kinds, LeakCheck
    from gigqd.roles.reserve import Reserve
    from gigqd.wire import Wire

log = logs.get_logger("gigqd.worker")

_CLOSED = "a standard stream, which is closed"


class LeakReport:
    """The leak check after each job, and its lines in the log.

    Args:
        check: the leak check of this process.
        wire: the connection to the supervisor.
    """

    def __init__(self, check: LeakCheck, wire: Wire) -> None:
        self.check = check
        self._wire = wire
        self._reported: set[tuple[str, str]] = set()
        check.follow_imports()

    def after(self, claim: Claim, reserve: Reserve, *, streams_are_open: bool) -> bool:
        """Check the process after a job; whether the worker has to be replaced.

        Args:
            claim: the job.
            reserve: makes room for the descriptors that the log needs.
            streams_are_open: whether standard output and error could be written out.
        """
        left, restored = self.check.look()
        if not streams_are_open:
            left = {**left, "streams": left.get("streams", [_CLOSED])}
        if restored:
            self._report_restored(str(claim.function), restored)
        if left:
            reserve.make_room()
            log.warning("job_left_residue", left=list(left), details=_flat(left))
            self._wire.send({"left": list(left), "function": str(claim.function)})
        return bool(left)

    def _report_restored(self, function: str, restored: Kinds) -> None:
        """Log it once for each function and kind: most jobs that change something always do."""
        new = {(function, kind) for kind in restored} - self._reported
        if new:
            self._reported |= new
            log.info("job_changes_undone", changed=list(restored), details=_flat(restored))


def _flat(kinds: Kinds) -> list[str]:
    return [detail for details in kinds.values() for detail in details]
