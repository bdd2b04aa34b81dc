"""The life of a slot, as a pure state machine: it is given the time and says what to do.

A slot is a place that the supervisor keeps filled with a child. Nothing here touches a process;
the crew carries out what a slot says and tells it what became of it. The edges are drawn in
docs/lifecycle.md.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from gigqd.scoreboard import Activity, Report

if TYPE_CHECKING:
    from gigqd.reaper import Death

KEEPER = "keeper"
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0
_DELAY_SPREAD = 0.2
_PROVEN_AFTER = 60.0


class Phase(StrEnum):
    """Where a slot stands."""

    EMPTY = "empty"
    BACKOFF = "backoff"
    BOOTING = "booting"
    UP = "up"
    ASKED = "asked"
    ENDING = "ending"
    STUCK = "stuck"


class Do(StrEnum):
    """What the crew is to do for a slot."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    READY = "ready"
    ASK = "ask"
    KILL = "kill"


class Cause(StrEnum):
    """Why a child's job came to a bad end; the words that the keeper records."""

    TIMEOUT = "timeout"
    CRASHED = "crashed"
    STOPPED = "stopped"
    BOOT = "boot"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a child may take, in seconds.

    Attributes:
        boot: from the fork until it is ready.
        grace: from being asked to end its job until it is killed.
        record: for writing down an outcome.
    """

    boot: float
    grace: float
    record: float


@dataclass(slots=True)
class Slot:
    """One slot: what it is for, how its child fares, what it has been through.

    Attributes:
        name: "keeper", or the pool's name and a number.
        pool: the pool's name; empty for the keeper.
        limits: how long its child may take.
        leaving: its child has been told to leave after its job.
        retired: it is not to be filled again.
        cause: why its child is being killed; None while it is not.
        boot_error: what its last child said before it failed to boot.
    """

    name: str
    pool: str
    limits: Limits
    phase: Phase = Phase.EMPTY
    since: float = 0.0
    generation: int = 0
    restarts: int = 0
    failures: int = 0
    until: float = 0.0
    last_exit: str = ""
    boot_error: str = ""
    leaving: bool = False
    retired: bool = False
    cause: Cause | None = None
    asked: int = 0
    _spread: random.Random = field(default_factory=random.Random, repr=False)

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
            case Phase.ASKED:
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
                return self.since + self.limits.boot
            case Phase.UP if report.activity is Activity.BUSY and report.deadline:
                return report.deadline
            case Phase.UP if report.activity is Activity.SETTLING:
                return report.since + self.limits.record
            case Phase.ASKED:
                return self.until
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

    def spawned(self, now: float) -> None:
        """A child has been forked."""
        self.generation += 1
        self._enter(Phase.BOOTING, now)
        self.leaving = False
        self.boot_error = ""
        self.cause = None

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

    def died(self, now: float, death: Death, report: Report, *, booted: bool) -> Cause | None:
        """The child and its tree are gone.

        Args:
            now: the monotonic time.
            death: how the child ended.
            report: what it last said.
            booted: whether it had become ready.

        Returns:
            The cause to record for whatever it was running; None when it left as asked.
        """
        in_job = report.activity in (Activity.BUSY, Activity.SETTLING)
        # Whoever ends before it is up, and was not told to leave, has not left: it cannot boot.
        may_leave = report.activity is Activity.IDLE or self.leaving
        left = death.as_asked and may_leave and not in_job and self.cause is None
        self.last_exit = f"{self.cause}: {death}" if self.cause else str(death)
        self.restarts += not left
        if left or self.retired or self.cause is Cause.STOPPED or in_job:
            self._enter(Phase.EMPTY, now)
        else:
            self._back_off(now)
        if left:
            return None
        return self.cause or (Cause.CRASHED if booted or in_job else Cause.BOOT)

    def proven(self, now: float, report: Report) -> None:
        """Forget earlier failures once the child has settled a job or has lived for a minute."""
        if self.failures and (report.settled or now - self.since > _PROVEN_AFTER):
            self.failures = 0

    # --- the edges ---------------------------------------------------------------------------

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self.since = now

    def _back_off(self, now: float) -> None:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self.failures, 10))
        self.failures += 1
        self.until = now + delay * self._spread.uniform(1 - _DELAY_SPREAD, 1 + _DELAY_SPREAD)
        self._enter(Phase.BACKOFF, now)

    def _boot(self, now: float, report: Report) -> Do:
        if report.activity >= Activity.IDLE:
            self._enter(Phase.UP, now)
            return Do.READY
        if now >= self.since + self.limits.boot:
            self.end(now, Cause.BOOT)
            return Do.KILL
        return Do.NOTHING

    def _watch(self, now: float, report: Report) -> Do:
        self.proven(now, report)
        if report.activity is Activity.BUSY and report.deadline and now >= report.deadline:
            return self._overrun(now, report)
        if report.activity is Activity.SETTLING and now >= report.since + self.limits.record:
            self.end(now, Cause.CRASHED)
            return Do.KILL
        return Do.NOTHING

    def _overrun(self, now: float, report: Report) -> Do:
        if self.limits.grace <= 0:
            self.end(now, Cause.TIMEOUT)
            return Do.KILL
        self.asked = report.started
        self.until = now + self.limits.grace
        self._enter(Phase.ASKED, now)
        return Do.ASK

    def _wait_for_answer(self, now: float, report: Report) -> Do:
        if report.activity is not Activity.BUSY or report.started != self.asked:
            self._enter(Phase.UP, now)
            return Do.NOTHING
        if now >= self.until:
            self.end(now, Cause.TIMEOUT)
            return Do.KILL
        return Do.NOTHING
