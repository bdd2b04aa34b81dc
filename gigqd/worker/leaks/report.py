"""Log lines about a job's leaks, and their report to the supervisor, which knows all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigqd import logs

if TYPE_CHECKING:
    from gigq.model.claim import Claim
    from gigqd.ipc.json_socket import JsonSocket
    from gigqd.worker.leaks.check import Kinds, LeakCheck
    from gigqd.worker.reserved_descriptors import ReservedDescriptors

log = logs.get_logger(__name__)

_CLOSED = "a standard stream, which the job has closed"


class LeakReport:
    """The leak check after each job, and its lines in the log.

    Args:
        check: the leak check of this process.
        json_socket: the connection to the supervisor.
    """

    def __init__(self, check: LeakCheck, json_socket: JsonSocket) -> None:
        self.check = check
        self._json_socket = json_socket
        self._reported: set[tuple[str, str]] = set()
        check.follow_imports()

    def after(self, claim: Claim, reserved: ReservedDescriptors, *, streams_are_open: bool) -> bool:
        """Check for leaks after a job, undo what can be undone, and report the rest.

        Args:
            claim: the job that has just ended.
            reserved: the reserved descriptors; they are closed before the log is written, because
                the job may have used all others.
            streams_are_open: False when flushing standard output or error has failed, which
                counts as a leak.

        Returns:
            True when something is left that cannot be undone. The worker must then be replaced.
        """
        left, restored = self.check.restore()
        if not streams_are_open:
            left = {**left, "streams": left.get("streams", [_CLOSED])}
        if restored:
            self._report_restored(str(claim.function), restored)
        if left:
            reserved.free_if_needed()
            log.warning("job_left_residue", left=list(left), details=_flat(left))
            self._json_socket.send({"left": list(left), "function": str(claim.function)})
        return bool(left)

    def _report_restored(self, function: str, restored: Kinds) -> None:
        """Log undone changes once for each function and kind, since they recur with each job."""
        new = {(function, kind) for kind in restored} - self._reported
        if new:
            self._reported |= new
            log.info("job_changes_undone", changed=list(restored), details=_flat(restored))


def _flat(kinds: Kinds) -> list[str]:
    return [detail for details in kinds.values() for detail in details]
