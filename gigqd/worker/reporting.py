"""Reporting of a worker to the supervisor: its cell on the scoreboard, and wakeups."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.ipc.json_socket import JsonSocket
from gigqd.ipc.scoreboard import Activity, Report

if TYPE_CHECKING:
    from gigq.model.claim import Claim
    from gigqd.process.spawn import ChildContext

log = logs.get_logger(__name__)


class WorkerReports:
    """The reports of a worker, through its cell and its socket.

    The supervisor sleeps while no worker is busy, so a worker that becomes busy starts the wakeup
    timer. A worker that has booted wakes the supervisor at once, which waits for it.

    Attributes:
        started: the number of the current execution: executions that this worker has started.
        deadline: the end of the current job's time, in seconds of the monotonic clock; 0.0
            without a limit.
    """

    def __init__(self, context: ChildContext) -> None:
        self._cell = context.cell
        self._wakeup_timer = context.wakeup_timer
        self.json_socket = JsonSocket(context.json_socket)
        self.started = 0
        self.deadline = 0.0
        self._busy = Report()
        self._activity = Activity.BOOTING
        self._settled = 0

    def idle(self) -> None:
        """Report that the worker is idle."""
        if self._activity is not Activity.IDLE:
            self._write_without_job(Activity.IDLE)

    def busy(
        self,
        claim: Claim,
        now: float,
        cpu: float,
        limits: tuple[float | None, int],
        held: int = 0,
    ) -> None:
        """Report that a job begins.

        Args:
            claim: the job and its attempt.
            now: the time, in seconds of the monotonic clock.
            cpu: the CPU time in seconds that this process has used so far.
            limits: the job's longest run time in seconds, None for no limit; and the memory its
                processes may use, in bytes, 0 for no limit.
            held: number of other claims that the worker holds.
        """
        limit, memory_limit = limits
        self.started += 1
        self.deadline = 0.0 if limit is None else now + limit
        self._busy = Report(
            Activity.BUSY,
            claim.attempt,
            self.started,
            self._settled,
            now,
            self.deadline,
            cpu,
            memory_limit,
            held,
            claim.execution_id,
            claim.execution_id,
            claim.job_id,
            claim.name,
        )
        self._write(self._busy)

    def holds_nothing_else(self) -> None:
        """Report that the worker has settled or released all its other claims."""
        self._busy = self._busy._replace(held=0)
        self._write(self._busy)

    def interrupted(self) -> None:
        """Report that the exception was raised in the job, so that no signal is repeated."""
        self._busy = self._busy._replace(interrupted=True)
        self._write(self._busy)

    def retry_function_starts(self, claim: Claim, error: str, name: str) -> None:
        """Report a job's own error, which is lost here if its retry function never returns."""
        said = f"its retry function {name} did not return, after the job's own error: {error}"
        self.json_socket.send({"own_error": said, "execution": claim.execution_id})

    def settling(self) -> None:
        """Report that the job's function is over and its outcome is being recorded."""
        self._activity = Activity.SETTLING
        self._cell.write_settling(time.monotonic())

    def settled(self) -> None:
        """Count an outcome that was recorded."""
        self._settled += 1

    def leaving(self) -> None:
        """Report that the last job is settled and the application's `worker_stop` runs."""
        self._write_without_job(Activity.LEAVING)

    def peak(self) -> int:
        """Return the most memory in bytes that the supervisor measured for the current job."""
        return self._cell.peak_of(self.started)

    def report_boot_error(self, why: str, traceback: str, *, application: bool) -> None:
        """Log why this worker cannot boot, and report it for the daemon's status.

        Args:
            why: the cause on one line.
            traceback: the cause with its traceback.
            application: True when the application could not be imported or set up.
        """
        log.error("worker_boot_failed", error=why, error_traceback=traceback)
        self.json_socket.send({"boot_error": why, "application": application})

    def _write_without_job(self, activity: Activity) -> None:
        self._write(
            Report(
                activity,
                started=self.started,
                settled=self._settled,
                since=time.monotonic(),
                latest=self._busy.latest,
            )
        )

    def _write(self, report: Report) -> None:
        before, self._activity = self._activity, report.activity
        self._cell.write(report)
        if before is Activity.BOOTING or (
            before is Activity.IDLE and not self._wakeup_timer.start()
        ):
            self.json_socket.notify()
