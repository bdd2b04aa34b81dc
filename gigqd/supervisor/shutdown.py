"""A stop under way: its one deadline, who waits for it, and what has become of the jobs."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from gigq.model.cause import Cause
from gigqd import exit_codes
from gigqd.supervisor.slots import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.ipc.scoreboard import Report
    from gigqd.supervisor.children import Children
    from gigqd.supervisor.slots import Slot

_UNKILLABLE_AFTER = 10.0
_RECORDS_WITHIN = 5.0
_TO_DUMP = 0.05
_ENDED_AS = {"completed": "finished", "pending": "released"}


class Stop:
    """An orderly stop: running jobs may finish until the deadline, then they are cut short.

    A job that still runs is asked to end a grace before the deadline, but not before half of the
    time is over, and killed at the deadline.

    Attributes:
        deadline: when what still runs is killed, in seconds of the monotonic clock.
        busy: the slots whose workers were running a job when the stop began.
        ended: the number of those jobs by what became of them.
        code: what the daemon exits with when every process is gone.
    """

    at_once: bool = False
    workers_gone_at: float = 0.0
    code: int = exit_codes.OK

    def __init__(self, deadline: float, busy: set[str]) -> None:
        self.deadline = deadline
        self.busy = busy
        self.began = time.monotonic()
        self.ended: Counter[str] = Counter()
        self._unrecorded: set[str] = set()

    def cut_short(self, now: float) -> None:
        """Cut short what runs at once; there is only time to note where it stands."""
        self.deadline = min(self.deadline, now + _TO_DUMP)
        self.at_once = True

    def step(self, children: Children, slot: Slot, now: float) -> None:
        """Ask a worker's job to end, or end the worker, when it is time for that.

        One that is still booting, as a canary whose application hangs, has no job to wait for.
        """
        grace = 0.0 if self.at_once else self._grace(slot)
        if now >= self.deadline or slot.phase is Phase.BOOTING:
            children.kill(slot, Cause.STOPPED, now)
        elif now >= self.deadline - grace or self.at_once:
            children.request_end(slot, Cause.STOPPED, grace)

    def worker_gone(self, slot: Slot, last: Report, record: ExitRecord) -> None:
        """Count the job of a worker that has left; that of a killed one once it is recorded."""
        if slot.name not in self.busy:
            return
        self.busy.discard(slot.name)
        if record.cause is None:
            self.ended["finished"] += 1
        else:
            self._unrecorded.add(last.latest)

    def note_interrupted(self, slot_name: str, message: Mapping[str, Any]) -> None:
        """Count a job that its worker has settled after it was interrupted.

        It may have returned all the same, and then it is finished.
        """
        if slot_name in self.busy:
            self.busy.discard(slot_name)
            self.ended[_ENDED_AS.get(message["status"], "failed")] += 1

    def note_settled(self, message: Mapping[str, Any]) -> None:
        """Count a job that the recorder has settled for a worker that was killed."""
        if message.get("execution") in self._unrecorded:
            self._unrecorded.discard(message["execution"])
            self.ended[_ENDED_AS.get(message["status"], "failed")] += 1

    def records_overdue(self, now: float) -> bool:
        """Whether the recorder has had its time to settle the last exit records.

        The clock starts when the last worker is gone; what is not settled by then is found by
        the next start.
        """
        self.workers_gone_at = self.workers_gone_at or now
        return now - self.workers_gone_at > _RECORDS_WITHIN

    def hopeless(self, now: float) -> bool:
        """Whether something has survived SIGKILL for too long to go on waiting."""
        return now > self.deadline + _UNKILLABLE_AFTER

    def next_look(self, now: float, slots: Iterable[Slot]) -> float:
        """When to look again, in seconds of the monotonic clock."""
        if self.workers_gone_at:
            return now + 0.02
        if now >= self.deadline:
            return now + 0.02
        ask_at = self.deadline - max(map(self._grace, slots), default=0.0)
        look = ask_at if now < ask_at else now + 0.05
        return min(self.deadline, look)

    def _grace(self, slot: Slot) -> float:
        return min(slot.limits.grace, (self.deadline - self.began) / 2)

    def summary(self, code: int, unrecorded: int) -> dict[str, Any]:
        """Return what the waiting clients get at the end.

        Args:
            code: the daemon's exit code.
            unrecorded: the number of killed workers whose jobs the next start has to settle. The
                job of any other one that the recorder did not name was settled by its worker.
        """
        lost = min(unrecorded, len(self._unrecorded))
        return {
            "finished": self.ended["finished"] + len(self._unrecorded) - lost,
            "failed": self.ended["failed"],
            "released": self.ended["released"],
            "unrecorded": lost,
            "seconds": round(time.monotonic() - self.began, 3),
            "code": code,
        }
