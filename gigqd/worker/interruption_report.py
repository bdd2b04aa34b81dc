"""Report to the supervisor of the outcome of an interrupted job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gigq.model.claim import Claim, Settled
    from gigq.model.execution_result import ExecutionResult, PostMortem
    from gigqd.ipc.json_socket import JsonSocket


class InterruptionReport:
    """The message about an interrupted job, which is the worker's last job.

    Args:
        json_socket: the connection to the supervisor.
    """

    def __init__(self, json_socket: JsonSocket) -> None:
        self._json_socket = json_socket
        self._message: dict[str, Any] = {}

    def ended(self, claim: Claim, result: ExecutionResult, usage: PostMortem) -> None:
        """Prepare the message after the job's function has ended."""
        self._message = {
            "interrupted": result.cause.value if result.cause else None,
            "execution": claim.execution_id,
            "job_id": claim.job_id,
            "job": claim.name,
            "attempt": claim.attempt,
            "wall_time": usage.wall_time,
            "cpu_time": usage.cpu_time,
            "peak_memory": usage.peak_rss,
        }

    def settled(self, claim: Claim, settled: Settled | None) -> None:
        """Send the message, with the job's new status, once the outcome is recorded."""
        message = self._message
        if message and message["execution"] == claim.execution_id:
            status = settled.job_status.value if settled else None
            self._json_socket.send({**message, "status": status})
            self._message = {}
