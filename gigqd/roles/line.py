"""What a worker tells the supervisor: its cell on the scoreboard, and a byte to wake it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.scoreboard import Activity, Report
from gigqd.wire import Wire

if TYPE_CHECKING:
    from gigq.claim import Claim
    from gigqd.spawn import Birth

log = logs.get_logger("gigqd.worker")


class Line:
    """A worker's side of its cell and of its channel.

    The supervisor sleeps while nobody works, so a worker that turns from idle to busy starts
    the alarm; one that has booted is waited for, and rings.

    Attributes:
        started: the number of the current execution: how many this worker has started.
        deadline: when the current job's time is over, in seconds of the monotonic clock; 0.0
            when it has no limit.
    """

    def __init__(self, birth: Birth) -> None:
        self._cell = birth.cell
        self._alarm = birth.alarm
        self.wire = Wire(birth.channel)
        self.started = 0
        self.deadline = 0.0
        self._busy = Report()
        self._activity = Activity.BOOTING
        self._settled = 0

    def idle(self) -> None:
        """Nothing to do."""
        if self._activity is not Activity.IDLE:
            self._write(
                Report(
                    Activity.IDLE,
                    started=self.started,
                    settled=self._settled,
                    since=time.monotonic(),
                    latest=self._busy.latest,
                )
            )

    def busy(
        self,
        claim: Claim,
        now: float,
        cpu: float,
        limits: tuple[float | None, int],
        held: int = 0,
    ) -> None:
        """A job begins.

        Args:
            claim: the job and its attempt.
            now: the time, in seconds of the monotonic clock.
            cpu: the CPU time in seconds that this process has used so far.
            limits: how long it may run, in seconds, None for ever; and the most memory that its
                processes may use, in bytes, 0 for no limit.
            held: how many other claims the worker holds meanwhile.
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
        """All that was held besides the running job has been let go of."""
        self._busy = self._busy._replace(held=0)
        self._write(self._busy)

    def interrupted(self) -> None:
        """The exception that was asked for is raised in the job: no signal need be repeated."""
        self._busy = self._busy._replace(interrupted=True)
        self._write(self._busy)

    def settling(self) -> None:
        """The job's function is over; its outcome is being written down."""
        self._activity = Activity.SETTLING
        self._cell.write_settling(time.monotonic())

    def settled(self) -> None:
        """The outcome is written down."""
        self._settled += 1

    def leaving(self) -> None:
        """The last job is settled; the application's `worker_stop` runs."""
        self._write(
            Report(
                Activity.LEAVING,
                started=self.started,
                settled=self._settled,
                since=time.monotonic(),
                latest=self._busy.latest,
            )
        )

    def peak(self) -> int:
        """The most memory in bytes that the supervisor saw the current job's processes use."""
        return self._cell.peak_of(self.started)

    def tell_boot_error(self, why: str, traceback: str, *, application: bool) -> None:
        """Say why this worker cannot work, in the log and to those who read the status.

        Args:
            why: the cause on one line.
            traceback: the same with its traceback.
            application: the application could not be imported or set up.
        """
        log.error("worker_boot_failed", error=why, error_traceback=traceback)
        self.wire.send({"boot_error": why, "application": application})

    def _write(self, report: Report) -> None:
        before, self._activity = self._activity, report.activity
        self._cell.write(report)
        if before is Activity.BOOTING or (before is Activity.IDLE and not self._alarm.start()):
            self.wire.ring()
