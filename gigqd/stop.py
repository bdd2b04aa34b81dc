"""A stop under way: its one deadline, who waits for it, and what has become of the jobs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigqd.slots import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigqd.crew import Crew
    from gigqd.scoreboard import Report
    from gigqd.slots import Slot
    from gigqd.verdicts import Verdict

_UNKILLABLE_AFTER = 10.0
_BOOKS_WITHIN = 5.0
_TO_DUMP = 0.05


@dataclass(slots=True)
class Stop:
    """An orderly stop: running jobs may finish until the deadline, then they are cut short.

    A job that still runs is asked to end a grace before the deadline, but not before half of the
    time is over, and killed at the deadline.

    Attributes:
        deadline: when what still runs is killed, in seconds of the monotonic clock.
        busy: the slots whose workers were running a job when the stop began.
        finished: how many of those jobs ran to their end.
        handed_back: how many were cut short and given back to the queue.
    """

    deadline: float
    busy: set[str]
    began: float = field(default_factory=time.monotonic)
    finished: int = 0
    handed_back: int = 0
    at_once: bool = False
    workers_gone_at: float = 0.0

    def hurry(self, now: float) -> None:
        """Cut short what runs at once; there is only time to note where it stands."""
        self.deadline = min(self.deadline, now + _TO_DUMP)
        self.at_once = True

    def turn(self, crew: Crew, slot: Slot, now: float) -> None:
        """Ask a worker's job to end, or end the worker, when it is time for that."""
        grace = 0.0 if self.at_once else self._grace(slot)
        if now >= self.deadline:
            crew.kill(slot, Cause.STOPPED, now)
        elif now >= self.deadline - grace or self.at_once:
            crew.want_end(slot, Cause.STOPPED, grace)

    def worker_gone(self, slot: Slot, last: Report, verdict: Verdict | None) -> None:
        """Count what became of a worker's job.

        A job that answers when it is asked to end for the stop is handed back by its worker.
        """
        if slot.name not in self.busy:
            return
        self.busy.discard(slot.name)
        answered = slot.asked_why is Cause.STOPPED and slot.asked == last.started
        cut_short = answered if verdict is None else verdict.cause == Cause.STOPPED
        self.handed_back += cut_short
        self.finished += verdict is None and not answered

    def books_overdue(self, now: float) -> bool:
        """Whether the keeper has had its time to settle the last verdicts.

        The clock starts when the last worker is gone; what is not settled by then is found by
        the next start.
        """
        self.workers_gone_at = self.workers_gone_at or now
        return now - self.workers_gone_at > _BOOKS_WITHIN

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

    def summary(self, code: int) -> dict[str, Any]:
        """What the waiting clients are told at the end."""
        return {
            "finished": self.finished,
            "handed_back": self.handed_back,
            "seconds": round(time.monotonic() - self.began, 3),
            "code": code,
        }
