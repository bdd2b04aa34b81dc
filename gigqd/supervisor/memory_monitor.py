"""Monitor of the workers' process trees: memory, CPU time, orphans and stopped workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigqd import logs
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.process import oom_kills
from gigqd.process.process_table import ProcessTable, cpu_of, memory_of, proportional_memory
from gigqd.supervisor.slots import RECORDER, Slot
from gigqd.time_slice import advance

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.process.child import Child

    SlotChild = tuple[Slot, Child]

log = logs.get_logger(__name__)

_INTERVAL_WITH_LIMITS = 0.2
_INTERVAL_BUSY = 1.0
_INTERVAL_IDLE = 5.0
_TURN_SECONDS = 0.008


class MemoryMonitor:
    """Samples the process trees: every 0.2 s with memory limits, 1 s while busy, 5 s when idle.

    1. Records the resources that each running job's tree uses, for its post-mortem and for
       `gigqd status`.
    2. Requests the end of a job that is over its memory limit.
    3. Returns the slots of workers to replace because a job has left an orphan.
    4. Notes workers that are stopped by a signal or a debugger.
    5. Distinguishes kills by the kernel's out-of-memory killer from other kills.
    """

    def __init__(self) -> None:
        self._process_table = ProcessTable()
        self._oom = oom_kills.OomWatch()
        self._at = 0.0
        self._scan: Iterator[None] | None = None
        self._reports: list[tuple[Slot, Child, Report]] = []

    @property
    def unfinished(self) -> bool:
        """Return True when a sample needs another step."""
        return self._scan is not None

    def step(self, occupied: Iterable[SlotChild], now: float) -> list[Slot]:
        """Sample if it is due; return the slots whose jobs have left an orphan.

        Args:
            occupied: the slots with their children, without those that are being killed.
            now: the monotonic time.
        """
        reports = [(slot, child, child.cell.read()) for slot, child in occupied]
        for _, child, report in reports:
            if report.started != child.oom_count[0]:
                child.oom_count = (report.started, self._oom.count())
        if self._scan is None and now >= self._at + _pause(report for _, _, report in reports):
            self._at = now
            self._reports = reports
            self._scan = self._process_table.scan({child.pid: child.tag for _, child, _ in reports})
        return self._continue({id(child) for _, child, _ in reports}, now)

    def _continue(self, there: Container[int], now: float) -> list[Slot]:
        """Continue a sample for some milliseconds; evaluate it once it is complete."""
        if self._scan is None:
            return []
        scan, self._scan = self._scan, None  # begun anew after an error
        if not advance(scan, _TURN_SECONDS):
            self._scan = scan
            return []
        # As their jobs were when the look began, without children that have ended since.
        reports = [one for one in self._reports if id(one[1]) in there]
        for unidentified in self._process_table.unidentified():
            log.warning("unidentified_orphan_adopted", orphan=unidentified.pid)
        for slot, child, report in reports:
            self._evaluate(slot, child, report, now)
        return [slot for slot, child, _ in reports if self._has_orphan(slot, child)]

    def was_oom(self, child: Child, record: ExitRecord) -> bool:
        """Return whether the kernel has killed a child because memory ran out."""
        return record.signal == "SIGKILL" and self._oom.happened_since(child.oom_count[1])

    def _has_orphan(self, slot: Slot, child: Child) -> bool:
        """Return True when a job has left a process that the supervisor has adopted."""
        if slot.leaving or slot.name == RECORDER:
            return False
        tree = self._process_table.tree_of(child.pid)
        adopted = [each for each in tree if each.parent == os.getpid() and each.pid != child.pid]
        orphans = sorted(each.pid for each in adopted if each.alive)
        if orphans:
            log.warning("job_left_orphans", slot=slot.name, pid=child.pid, orphans=orphans)
        return bool(orphans)

    def _evaluate(self, slot: Slot, child: Child, report: Report, now: float) -> None:
        if slot.name == RECORDER:
            slot.no_progress_since = report.since
            return
        if report.activity is not Activity.BUSY:
            stopped = self._process_table.is_stopped(child.pid)
            slot.no_progress_since = (slot.no_progress_since or now) if stopped else 0.0
            return
        slot.no_progress_since = 0.0
        tree = self._process_table.tree_of(child.pid)
        memory = memory_of(tree)
        if 0 < report.memory_limit < memory:
            # Forked processes share pages, so the limit applies to the proportional size.
            memory = proportional_memory(tree)
            if memory > report.memory_limit:
                slot.request_end(report.started, Cause.MEMORY, 0.0)
        child.note_resource_use(report.started, memory, cpu_of(tree))


def _pause(reports: Iterable[Report]) -> float:
    """Return the seconds between two samples."""
    busy = [report for report in reports if report.activity is Activity.BUSY]
    if any(report.memory_limit for report in busy):
        return _INTERVAL_WITH_LIMITS
    return _INTERVAL_BUSY if busy else _INTERVAL_IDLE
