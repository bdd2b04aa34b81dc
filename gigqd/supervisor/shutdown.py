"""A stop of the daemon: its deadline, and the outcomes of the jobs that ran when it began."""

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
    from gigqd.supervisor.pools import Pools
    from gigqd.supervisor.slots import Slot

_UNKILLABLE_AFTER = 10.0
_RECORDS_WITHIN = 5.0
_CUT_SHORT_WITHIN = 0.05
_ENDED_AS = {"completed": "finished", "pending": "released"}


class Stop:
    """An orderly stop: running jobs may finish until the deadline, then they are cut short.

    A job that still runs is interrupted a grace before the deadline, but not before half of the
    time is over, and killed at the deadline.

    Attributes:
        deadline: when running jobs are killed, in seconds of the monotonic clock.
        busy: the slots whose workers were running a job when the stop began.
        ended: the number of those jobs by outcome.
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
        """Cut running jobs short at once; there is only time to dump their stacks."""
        self.deadline = min(self.deadline, now + _CUT_SHORT_WITHIN)
        self.at_once = True

    def step(self, children: Children, pools: Pools, unrecorded: int) -> None:
        """Interrupt or kill what is due; without workers, end the recorder.

        Args:
            children: the children.
            pools: the pools.
            unrecorded: the number of exit records that the recorder has not confirmed.
        """
        now = time.monotonic()
        workers = pools.workers()
        for slot in workers:
            self._end_worker(children, slot, now)
        if workers:
            return
        # From here the recorder has its time to settle; the next start settles the rest.
        self.workers_gone_at = self.workers_gone_at or now
        if now - self.workers_gone_at > _RECORDS_WITHIN:
            pools.end_recorder(now)
        elif not unrecorded:
            pools.retire_recorder()

    def _end_worker(self, children: Children, slot: Slot, now: float) -> None:
        """Interrupt a worker's job, or kill the worker, when it is time for that.

        A worker that still boots, as a canary whose application hangs, has no job to wait for.
        """
        grace = 0.0 if self.at_once else self._grace(slot)
        if now >= self.deadline or slot.phase is Phase.BOOTING:
            children.kill(slot, Cause.STOPPED, now)
        elif now >= self.deadline - grace or self.at_once:
            children.request_end(slot, Cause.STOPPED, grace)

    def exit_code(self, children: Children) -> int | None:
        """Return the daemon's exit code once the stop is complete, or has taken too long."""
        if not children.slots:
            return self.code
        hopeless = time.monotonic() > self.deadline + _UNKILLABLE_AFTER
        return exit_codes.LEFT_BEHIND if hopeless else None

    def worker_gone(self, slot: Slot, last: Report, record: ExitRecord) -> None:
        """Count the job of a worker that has exited; that of a killed one once it is recorded."""
        if slot.name not in self.busy:
            return
        self.busy.discard(slot.name)
        if record.cause is None:
            self.ended["finished"] += 1
        else:
            self._unrecorded.add(last.latest)

    def note_interrupted(self, slot_name: str, message: Mapping[str, Any]) -> None:
        """Count a job that its worker has settled after it was interrupted.

        A job that returned after its interruption counts as finished.
        """
        if slot_name in self.busy:
            self.busy.discard(slot_name)
            self.ended[_ENDED_AS.get(message["status"], "failed")] += 1

    def note_settled(self, message: Mapping[str, Any]) -> None:
        """Count a job that the recorder has settled for a worker that was killed."""
        if message.get("execution") in self._unrecorded:
            self._unrecorded.discard(message["execution"])
            self.ended[_ENDED_AS.get(message["status"], "failed")] += 1

    def next_step(self, now: float, slots: Iterable[Slot]) -> float:
        """Return when `step` is due again, in seconds of the monotonic clock."""
        if self.workers_gone_at or now >= self.deadline:
            return now + 0.02
        ask_at = self.deadline - max(map(self._grace, slots), default=0.0)
        look = ask_at if now < ask_at else now + 0.05
        return min(self.deadline, look)

    def _grace(self, slot: Slot) -> float:
        return min(slot.limits.grace, (self.deadline - self.began) / 2)

    def summary(self, code: int, unrecorded: int) -> dict[str, Any]:
        """Return the summary for the clients that wait for the stop.

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
