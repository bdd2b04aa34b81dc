"""The life of a slot, as a pure state machine: it is given the time and says what to do.

A slot is a place that the supervisor keeps filled with a child. Nothing here touches a process;
the crew carries out what a slot says and tells it what became of it. The edges are drawn in
docs/lifecycle.md.
"""

from __future__ import annotations

from _random import Random  # `random` itself is left to the application: see gigq/model/jitter.py
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from gigq.model.cause import Cause
from gigqd import exit_codes
from gigqd.ipc.scoreboard import Activity, Report

if TYPE_CHECKING:
    from gigqd.ipc.exit_record import ExitRecord

RECORDER = "recorder"
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0
_DELAY_SPREAD = 0.2
_PROVEN_AFTER = 60.0
_TO_DUMP = 0.01
_INSIST_OFTEN = 0.02
_INSIST_RARELY = 0.1


class Phase(StrEnum):
    """Where a slot stands."""

    EMPTY = "empty"
    BACKOFF = "backoff"
    BOOTING = "booting"
    UP = "up"
    INTERRUPTED = "interrupted"
    ENDING = "ending"
    STUCK = "stuck"


class Do(StrEnum):
    """What the crew is to do for a slot."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    READY = "ready"
    ASK = "ask"
    INSIST = "insist"
    DUMP = "dump"
    KILL = "kill"


_BY_ITSELF = frozenset({Cause.CRASHED, Cause.OOM})


class Limits(NamedTuple):
    """How long a child may take, in seconds.

    Attributes:
        boot: from the fork until it is ready.
        grace: from being asked to end its job until it is killed.
        record: for writing down an outcome.
        hang: for standing still while it has nothing to do, and for `worker_stop` of its hooks.
    """

    boot: float
    grace: float
    record: float
    hang: float = float("inf")


class Wish(NamedTuple):
    """That one execution of a child be ended: its number, why, and the grace in seconds."""

    number: int
    cause: Cause
    grace: float


class Slot:
    """One slot: what it is for, how its child fares, what it has been through.

    Attributes:
        name: "recorder", or the pool's name and a number.
        pool: the pool's name; empty for the recorder.
        limits: how long its child may take.
        leaving: its child has been told to leave after its job.
        retired: it is not to be filled again.
        cause: why its child is being killed; None while it is not.
        asked: the number of the execution that has been asked to end.
        asked_why: why it was asked.
        insist_at: when to interrupt that job again unless it has reacted; infinity for never.
        still_since: when its child was first seen to stand still; 0.0 while it moves.
        excused: before this time nobody is blamed for being slow: the database was away, or
            this process was stopped itself.
        crashed: its last child had work, or had done some, and died by itself.
        boot_error: what its last child said before it failed to boot.
        boot_code: the exit code of a start or reload that ends because of it.
        canary: it tries a configuration; its failures are those of a reload, not of the pool.
    """

    phase: Phase = Phase.EMPTY
    since: float = 0.0
    generation: int = 0
    restarts: int = 0
    failures: int = 0
    until: float = 0.0
    last_exit: str = ""
    boot_error: str = ""
    boot_code: int = exit_codes.INTERNAL_ERROR
    canary: bool = False
    leaving: bool = False
    retired: bool = False
    cause: Cause | None = None
    interrupted_execution: int = 0
    interruption_cause: Cause = Cause.TIMEOUT
    insist_at: float = float("inf")
    still_since: float = 0.0
    excused: float = 0.0
    crashed: bool = False
    wish: Wish | None = None

    def __init__(self, name: str, pool: str, limits: Limits) -> None:
        self.name = name
        self.pool = pool
        self.limits = limits
        self._spread = Random()

    def turn(self, now: float, report: Report) -> Do:
        """What is to be done for this slot now, given its child's last report."""
        match self.phase:
            case Phase.EMPTY:
                return Do.NOTHING if self.retired else Do.SPAWN
            case Phase.BACKOFF:
                return Do.SPAWN if now >= self.until and not self.retired else Do.NOTHING
            case Phase.BOOTING:
                return self._boot(now, report)
            case Phase.UP:
                return self._watch(now, report)
            case Phase.INTERRUPTED:
                return self._wait_for_answer(now, report)
            case Phase.ENDING | Phase.STUCK:
                return Do.NOTHING

    def wake_at(self, report: Report) -> float:
        """When this slot wants to be looked at again, at the latest; infinity for never."""
        match self.phase:
            case Phase.EMPTY:
                return float("inf") if self.retired else 0.0
            case Phase.BACKOFF:
                return self.until
            case Phase.BOOTING:
                return max(self.since, self.excused) + self.limits.boot
            case Phase.UP if report.activity is Activity.BUSY and report.deadline:
                return report.deadline
            case Phase.UP if report.activity is Activity.SETTLING:
                return max(report.since, self.excused) + self.limits.record
            case Phase.UP if report.activity is Activity.LEAVING:
                return max(report.since, self.excused) + self.limits.hang
            case Phase.INTERRUPTED:
                return self.until if report.interrupted else min(self.until, self.insist_at)
            case _:
                return float("inf")

    @property
    def why_down(self) -> str:
        """Why its children do not come up, in words."""
        return self.boot_error or self.last_exit

    # --- what the crew reports ---------------------------------------------------------------

    def hurry(self) -> None:
        """Wait no longer for the next child: what kept the last one down may be over."""
        self.until = 0.0

    def wait(self, until: float, now: float) -> None:
        """Have no child before this time."""
        self.until = until
        self._enter(Phase.BACKOFF, now)

    def request_end(self, number: int, cause: Cause, grace: float | None = None) -> None:
        """Have the child's job ended, if it still is the execution with this number.

        Args:
            number: which of its executions is meant.
            cause: why.
            grace: seconds between asking it and killing it; None for the slot's own.
        """
        self.wish = Wish(number, cause, self.limits.grace if grace is None else grace)

    def spawned(self, now: float) -> None:
        """A child has been forked."""
        self.generation += 1
        self._enter(Phase.BOOTING, now)
        self.leaving = self.crashed = False
        self.boot_error, self.boot_code = "", exit_codes.INTERNAL_ERROR
        self.cause = self.wish = None
        self.still_since = 0.0

    def spawn_failed(self, now: float, why: str) -> None:
        """The kernel refused to fork."""
        self.last_exit = why
        self._back_off(now)

    def end(self, now: float, cause: Cause | None) -> None:
        """The child has died, or is being killed for a cause; its tree is being ended."""
        self.cause = cause
        self._enter(Phase.ENDING, now)

    def stuck(self, now: float) -> None:
        """Something of the child's tree survives SIGKILL; it is looked at again and again."""
        self._enter(Phase.STUCK, now)

    def died(
        self, now: float, record: ExitRecord, report: Report, *, booted: bool, oom: bool = False
    ) -> Cause | None:
        """The child and its tree are gone.

        Args:
            now: the monotonic time.
            record: how the child ended.
            report: what it last said.
            booted: whether it had become ready.
            oom: whether the kernel killed it because memory ran out.

        Returns:
            The cause to record for whatever it was running; None when it left as asked.
        """
        in_job = report.activity in (Activity.BUSY, Activity.SETTLING)
        # An exit before it is up, without an order to leave, is a failure to boot.
        may_leave = report.activity in (Activity.IDLE, Activity.LEAVING) or self.leaving
        left = record.is_orderly and may_leave and not in_job and self.cause is None
        by_itself = Cause.OOM if oom else Cause.CRASHED if booted or in_job else Cause.BOOT
        cause = None if left else self.cause or by_itself
        self.last_exit = f"{self.cause}: {record}" if self.cause else str(record)
        self.restarts += not left
        has_worked = in_job or (booted and report.settled > 0)
        self.crashed = has_worked and cause in _BY_ITSELF
        if left or self.retired or self.cause is Cause.STOPPED or has_worked:
            self._enter(Phase.EMPTY, now)
        else:
            self._back_off(now)
        return cause

    def proven(self, now: float, report: Report) -> None:
        """Forget earlier failures once the child has settled a job or has lived for a minute."""
        if self.failures and (report.settled or now - self.since > _PROVEN_AFTER):
            self.failures = 0

    # --- the edges ---------------------------------------------------------------------------

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now

    def _back_off(self, now: float) -> None:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self.failures, 10))
        self.failures += 1
        self.until = now + delay * (1 + _DELAY_SPREAD * (2 * self._spread.random() - 1))
        self._enter(Phase.BACKOFF, now)

    def _boot(self, now: float, report: Report) -> Do:
        if report.activity >= Activity.IDLE:
            self._enter(Phase.UP, now)
            return Do.READY
        if now >= max(self.since, self.excused) + self.limits.boot:
            return self._kill(now, Cause.BOOT)
        return Do.NOTHING

    def _watch(self, now: float, report: Report) -> Do:
        self.proven(now, report)
        match report.activity:
            case Activity.BUSY:
                wish = self._wish_for(now, report)
                return self._ask(now, wish) if wish else Do.NOTHING
            case Activity.SETTLING:
                late = now >= max(report.since, self.excused) + self.limits.record
                return self._kill(now, Cause.CRASHED) if late else Do.NOTHING
            case Activity.LEAVING if now >= max(report.since, self.excused) + self.limits.hang:
                return self._kill(now, Cause.CRASHED)
            case _:
                return self._kill(now, Cause.CRASHED) if self._hangs(now, report) else Do.NOTHING

    def _hangs(self, now: float, report: Report) -> bool:
        still = max(self.still_since, self.excused, report.since)  # looked at only now and then
        return bool(self.still_since) and now - still >= self.limits.hang

    def _wish_for(self, now: float, report: Report) -> Wish | None:
        """Why the current job is to be ended now, if it is."""
        if self.wish is not None and self.wish.number == report.started:
            return self.wish
        if report.deadline and now >= report.deadline:
            return Wish(report.started, Cause.TIMEOUT, self.limits.grace)
        return None

    def _ask(self, now: float, wish: Wish) -> Do:
        self.interrupted_execution, self.interruption_cause = wish.number, wish.cause
        self.until = now + (wish.grace if wish.grace > 0 else _TO_DUMP)
        self.insist_at = now + _insist_pause(0.0) if wish.grace > 0 else float("inf")
        self._enter(Phase.INTERRUPTED, now)
        return Do.ASK if wish.grace > 0 else Do.DUMP

    def _wait_for_answer(self, now: float, report: Report) -> Do:
        if report.activity is not Activity.BUSY or report.started != self.interrupted_execution:
            self._enter(Phase.UP, now)
            return Do.NOTHING
        if (other := self._impatient_wish()) is not None:
            return self._kill(now, other.cause)
        if now >= self.until:
            return self._kill(now, self.interruption_cause)
        if now >= self.insist_at and not report.interrupted:
            self.insist_at = now + _insist_pause(now - self.since)
            return Do.INSIST
        return Do.NOTHING

    def _impatient_wish(self) -> Wish | None:
        """A wish to end the job that has been asked already, for a cause that gives it no grace."""
        wish = self.wish
        if (
            wish is None
            or wish.number != self.interrupted_execution
            or wish.cause is self.interruption_cause
        ):
            return None
        return wish if wish.grace <= 0 else None

    def _kill(self, now: float, cause: Cause) -> Do:
        self.end(now, cause)
        return Do.KILL


def _insist_pause(asked_for: float) -> float:
    """Seconds until a job is interrupted again: ever longer, the longer it does not react."""
    return min(_INSIST_RARELY, max(_INSIST_OFTEN, asked_for / 4))
