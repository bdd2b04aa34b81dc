"""The watch over what workers use: memory, CPU time, and whether they move at all."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigqd import logs
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.process import oom
from gigqd.process.process_table import ProcessTable, cpu_of, memory_of, proportional_memory
from gigqd.supervisor.slots import RECORDER, Slot

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.process.child import Child

    Post = tuple[Slot, Child]

log = logs.get_logger(__name__)

_LOOK_WITH_LIMITS = 0.2
_LOOK_AT_WORK = 1.0
_LOOK_IDLE = 5.0
_TURN_SECONDS = 0.008


class ResourceMonitor:
    """Looks at the processes below the supervisor now and then, more often the more depends on it.

    1. Notes what each running job's tree uses, for its post-mortem and for `gigqd status`.
    2. Has a job ended that is over its memory limit.
    3. Tells which workers to replace because a job has left them with an orphan.
    4. Marks who stands still.
    5. Tells a kill by the kernel, for want of memory, from others.
    """

    def __init__(self) -> None:
        self._process_table = ProcessTable()
        self._oom = oom.OomWatch()
        self._at = 0.0
        self._look: Iterator[None] | None = None
        self._reports: list[tuple[Slot, Child, Report]] = []

    @property
    def unfinished(self) -> bool:
        """Whether a look has taken longer than a turn may, and goes on in the next one."""
        return self._look is not None

    def step(self, posts: Iterable[Post], now: float) -> list[Slot]:
        """Look if it is time to; the slots whose jobs have left an orphan are returned.

        Args:
            posts: the slots with their children, without those that are being ended.
            now: the monotonic time.
        """
        reports = [(slot, child, child.cell.read()) for slot, child in posts]
        for _, child, report in reports:
            if report.started != child.oom_count[0]:
                child.oom_count = (report.started, self._oom.look())
        if self._look is None and now >= self._at + _pause(report for _, _, report in reports):
            self._at = now
            self._reports = reports
            self._look = self._process_table.look({child.pid: child.tag for _, child, _ in reports})
        return self._go_on({id(child) for _, child, _ in reports}, now)

    def _go_on(self, there: Container[int], now: float) -> list[Slot]:
        """Carry on with a look for some milliseconds; judge once it is complete."""
        if self._look is None:
            return []
        until = time.monotonic() + _TURN_SECONDS
        look, self._look = self._look, None  # begun anew after an error
        for _ in look:
            if time.monotonic() >= until:
                self._look = look
                return []
        # As their jobs were when the look began, without children that have ended since.
        reports = [post for post in self._reports if id(post[1]) in there]
        for unidentified in self._process_table.unidentified():
            log.warning("unidentified_orphan_adopted", orphan=unidentified.pid)
        for slot, child, report in reports:
            self._look_at(slot, child, report, now)
        return [slot for slot, child, _ in reports if self._has_orphan(slot, child)]

    def was_oom(self, child: Child, record: ExitRecord) -> bool:
        """Return whether the kernel has killed a child because memory ran out."""
        return record.signal == "SIGKILL" and self._oom.happened_since(child.oom_count[1])

    def _has_orphan(self, slot: Slot, child: Child) -> bool:
        """Whether a job has left a process that the supervisor has adopted."""
        if slot.leaving or slot.name == RECORDER:
            return False
        tree = self._process_table.tree_of(child.pid)
        adopted = [each for each in tree if each.parent == os.getpid() and each.pid != child.pid]
        orphans = sorted(each.pid for each in adopted if each.alive)
        if orphans:
            log.warning("job_left_orphans", slot=slot.name, pid=child.pid, orphans=orphans)
        return bool(orphans)

    def _look_at(self, slot: Slot, child: Child, report: Report, now: float) -> None:
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
            # Forked processes share pages: only who is over the limit without those counts.
            memory = proportional_memory(tree)
            if memory > report.memory_limit:
                slot.request_end(report.started, Cause.MEMORY, 0.0)
        child.note_resource_use(report.started, memory, cpu_of(tree))


def _pause(reports: Iterable[Report]) -> float:
    """How many seconds to wait between two looks."""
    busy = [report for report in reports if report.activity is Activity.BUSY]
    if any(report.memory_limit for report in busy):
        return _LOOK_WITH_LIMITS
    return _LOOK_AT_WORK if busy else _LOOK_IDLE
