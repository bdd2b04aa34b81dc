"""What a worker tells the supervisor: its cell on the scoreboard, and a byte to wake it."""

from __future__ import annotations

import time
from dataclasses import replace
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

    The supervisor sleeps while nobody works, so a worker that turns from idle to busy rings.
    """

    def __init__(self, birth: Birth) -> None:
        self._cell = birth.cell
        self.wire = Wire(birth.channel)
        self._activity = Activity.BOOTING
        self._started = 0
        self._settled = 0

    @property
    def started(self) -> int:
        """The number of the current execution: how many this worker has started."""
        return self._started

    def idle(self) -> None:
        """Nothing to do."""
        if self._activity is not Activity.IDLE:
            self._write(Report(Activity.IDLE, since=time.monotonic()))

    def busy(self, claim: Claim, limit: float | None) -> None:
        """A job begins; its deadline is `limit` seconds from now."""
        self._started += 1
        now = time.monotonic()
        self._write(
            Report(
                Activity.BUSY,
                attempt=claim.attempt,
                since=now,
                deadline=now + limit if limit is not None else 0.0,
                execution=claim.execution_id,
                job_id=claim.job_id,
                job_name=claim.name,
            )
        )

    def settling(self, claim: Claim) -> None:
        """The job's function is over; its outcome is being written down."""
        self._write(
            Report(
                Activity.SETTLING,
                attempt=claim.attempt,
                since=time.monotonic(),
                execution=claim.execution_id,
                job_id=claim.job_id,
                job_name=claim.name,
            )
        )

    def settled(self) -> None:
        """The outcome is written down."""
        self._settled += 1

    def tell_boot_error(self, why: str) -> None:
        """Why this worker cannot work, for those who read the daemon's status."""
        log.error("worker_boot_failed", error=why)
        self.wire.send({"boot_error": why})

    def _write(self, report: Report) -> None:
        quiet = self._activity in (Activity.BOOTING, Activity.IDLE)
        self._activity = report.activity
        self._cell.write(replace(report, started=self._started, settled=self._settled))
        if quiet:
            self.wire.ring()
