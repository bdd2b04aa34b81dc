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
_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 0.1


class Phase(StrEnum):
    """Where a slot stands."""

    EMPTY = "empty"
    BACKOFF = "backoff"
    BOOTING = "booting"
    UP = "up"
    INTERRUPTED = "interrupted"
    ENDING = "ending"
    STUCK = "stuck"


class Action(StrEnum):
    """What the crew is to do for a slot."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    READY = "ready"
    INTERRUPT = "ask"
    INTERRUPT_AGAIN = "insist"
    DUMP_STACKS = "dump"
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


class EndRequest(NamedTuple):
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
    interrupt_again_at: float = float("inf")
    no_progress_since: float = 0.0
    limits_count_from: float = 0.0
    crashed: bool = False
    end_request: EndRequest | None = None

    def __init__(self, name: str, pool: str, limits: Limits) -> None:
        self.name = name
        self.pool = pool
        self.limits = limits
        self._spread = Random()

    def step(self, now: float, report: Report) -> Action:
        """What is to be done for this slot now, given its child's last report."""
        match self.phase:
            case Phase.EMPTY:
                return Action.NOTHING if self.retired else Action.SPAWN
            case Phase.BACKOFF:
                return Action.SPAWN if now >= self.until and not self.retired else Action.NOTHING
            case Phase.BOOTING:
                return self._boot(now, report)
            case Phase.UP:
                return self._watch(now, report)
            case Phase.INTERRUPTED:
                return self._wait_for_answer(now, report)
            case Phase.ENDING | Phase.STUCK:
                return Action.NOTHING

    def wake_at(self, report: Report) -> float:
        """When this slot wants to be looked at again, at the latest; infinity for never."""
        match self.phase:
            case Phase.EMPTY:
                return float("inf") if self.retired else 0.0
            case Phase.BACKOFF:
                return self.until
            case Phase.BOOTING:
                return max(self.since, self.limits_count_from) + self.limits.boot
            case Phase.UP if report.activity is Activity.BUSY and report.deadline:
                return report.deadline
            case Phase.UP if report.activity is Activity.SETTLING:
                return max(report.since, self.limits_count_from) + self.limits.record
            case Phase.UP if report.activity is Activity.LEAVING:
                return max(report.since, self.limits_count_from) + self.limits.hang
            case Phase.INTERRUPTED:
                return (
                    self.until if report.interrupted else min(self.until, self.interrupt_again_at)
                )
            case _:
                return float("inf")

    @property
    def why_down(self) -> str:
        """Why its children do not come up, in words."""
        return self.boot_error or self.last_exit

    # --- what the crew reports ---------------------------------------------------------------

    def end_backoff(self) -> None:
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
        self.end_request = EndRequest(number, cause, self.limits.grace if grace is None else grace)

    def spawned(self, now: float) -> None:
        """A child has been forked."""
        self.generation += 1
        self._enter(Phase.BOOTING, now)
        self.leaving = self.crashed = False
        self.boot_error, self.boot_code = "", exit_codes.INTERNAL_ERROR
        self.cause = self.end_request = None
        self.no_progress_since = 0.0

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

    def _forget_failures(self, now: float, report: Report) -> None:
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

    def _boot(self, now: float, report: Report) -> Action:
        if report.activity >= Activity.IDLE:
            self._enter(Phase.UP, now)
            return Action.READY
        if now >= max(self.since, self.limits_count_from) + self.limits.boot:
            return self._kill(now, Cause.BOOT)
        return Action.NOTHING

    def _watch(self, now: float, report: Report) -> Action:
        self._forget_failures(now, report)
        match report.activity:
            case Activity.BUSY:
                end_request = self._due_request(now, report)
                return self._ask(now, end_request) if end_request else Action.NOTHING
            case Activity.SETTLING:
                late = now >= max(report.since, self.limits_count_from) + self.limits.record
                return self._kill(now, Cause.CRASHED) if late else Action.NOTHING
            case Activity.LEAVING if (
                now >= max(report.since, self.limits_count_from) + self.limits.hang
            ):
                return self._kill(now, Cause.CRASHED)
            case _:
                return (
                    self._kill(now, Cause.CRASHED) if self._hangs(now, report) else Action.NOTHING
                )

    def _hangs(self, now: float, report: Report) -> bool:
        still = max(
            self.no_progress_since, self.limits_count_from, report.since
        )  # looked at only now and then
        return bool(self.no_progress_since) and now - still >= self.limits.hang

    def _due_request(self, now: float, report: Report) -> EndRequest | None:
        """Why the current job is to be ended now, if it is."""
        if self.end_request is not None and self.end_request.number == report.started:
            return self.end_request
        if report.deadline and now >= report.deadline:
            return EndRequest(report.started, Cause.TIMEOUT, self.limits.grace)
        return None

    def _ask(self, now: float, end_request: EndRequest) -> Action:
        self.interrupted_execution, self.interruption_cause = end_request.number, end_request.cause
        self.until = now + (end_request.grace if end_request.grace > 0 else _TO_DUMP)
        self.interrupt_again_at = (
            now + _pause_between_interrupts(0.0) if end_request.grace > 0 else float("inf")
        )
        self._enter(Phase.INTERRUPTED, now)
        return Action.INTERRUPT if end_request.grace > 0 else Action.DUMP_STACKS

    def _wait_for_answer(self, now: float, report: Report) -> Action:
        if report.activity is not Activity.BUSY or report.started != self.interrupted_execution:
            self._enter(Phase.UP, now)
            return Action.NOTHING
        if (other := self._request_without_grace()) is not None:
            return self._kill(now, other.cause)
        if now >= self.until:
            return self._kill(now, self.interruption_cause)
        if now >= self.interrupt_again_at and not report.interrupted:
            self.interrupt_again_at = now + _pause_between_interrupts(now - self.since)
            return Action.INTERRUPT_AGAIN
        return Action.NOTHING

    def _request_without_grace(self) -> EndRequest | None:
        """A wish to end the job that has been asked already, for a cause that gives it no grace."""
        end_request = self.end_request
        if (
            end_request is None
            or end_request.number != self.interrupted_execution
            or end_request.cause is self.interruption_cause
        ):
            return None
        return end_request if end_request.grace <= 0 else None

    def _kill(self, now: float, cause: Cause) -> Action:
        self.end(now, cause)
        return Action.KILL


def _pause_between_interrupts(asked_for: float) -> float:
    """Seconds until a job is interrupted again: ever longer, the longer it does not react."""
    return min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, asked_for / 4))
