"""State machine of a slot: from a time and a child's report it returns the next action.

The supervisor keeps one child in each slot. This module touches no process: `Children` carries out
the actions and reports the results. docs/how-it-works.md has a diagram of the phases.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from gigq.model.cause import Cause
from gigq.model.jitter import random_between
from gigqd import exit_codes
from gigqd.ipc.scoreboard import Activity, Report

if TYPE_CHECKING:
    from gigqd.ipc.exit_record import ExitRecord

RECORDER = "recorder"
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0
_DELAY_SPREAD = 0.2
_PROVEN_AFTER = 60.0
_TIME_TO_DUMP_STACKS = 0.01
_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 0.1


class Phase(StrEnum):
    """Phase of a slot."""

    EMPTY = "empty"
    BACKOFF = "backoff"
    BOOTING = "booting"
    UP = "up"
    INTERRUPTED = "interrupted"
    ENDING = "ending"
    STUCK = "stuck"


class Action(StrEnum):
    """Action that a slot requires of `Children`."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    READY = "ready"
    INTERRUPT = "interrupt"
    INTERRUPT_AGAIN = "interrupt_again"
    DUMP_STACKS = "dump_stacks"
    KILL = "kill"


_CRASHES = frozenset({Cause.CRASHED, Cause.OOM})


class Limits(NamedTuple):
    """Time limits of a child, in seconds.

    Attributes:
        boot: from the fork until it is ready.
        grace: from the interruption of its job until it is killed.
        record: for recording an outcome.
        hang: without progress while it runs no job, and for `worker_stop` of its hooks.
    """

    boot: float
    grace: float
    record: float
    hang: float = float("inf")


class EndRequest(NamedTuple):
    """Request to end one execution of a child: its number, the cause, and the grace in seconds."""

    number: int
    cause: Cause
    grace: float


class Slot:
    """A slot: its child's phase, limits and failures.

    Attributes:
        name: "recorder", or the pool's name and a number.
        pool: the pool's name; empty for the recorder.
        limits: the time limits of its child.
        phase: its phase.
        since: when the phase began, in seconds of the monotonic clock.
        until: when the backoff or the grace ends.
        generation: how many children were forked for it.
        restarts: how many of them ended by a failure.
        failures: how many failed to boot in a row.
        leaving: its child was ordered to exit after its job.
        retired: it gets no further child.
        cause: why its child is being killed; None while it is not.
        interrupted_execution: the number of the execution that was interrupted.
        interruption_cause: why it was interrupted.
        interrupt_again_at: when to repeat the interruption unless the job reacts; infinity for
            never.
        no_progress_since: when its child was first found stopped; 0.0 while it runs.
        limits_count_from: the time before which no limit counts: the database could not be used,
            or the supervisor itself was stopped.
        crashed: its last child had run jobs, and crashed.
        boot_error: the error that its last child reported before it failed to boot.
        boot_code: the exit code of a start or reload that fails because of it.
        canary: it tries a configuration; its failures count for the reload, not for the pool.
        end_request: the last request to end an execution of its child.
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

    def step(self, now: float, report: Report) -> Action:
        """Return the next action for this slot, given its child's last report."""
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
                return self._await_reaction(now, report)
            case Phase.ENDING | Phase.STUCK:
                return Action.NOTHING

    def wake_at(self, report: Report) -> float:
        """Return when `step` must be called again at the latest; infinity for never."""
        match self.phase:
            case Phase.EMPTY:
                return float("inf") if self.retired else 0.0
            case Phase.BACKOFF:
                return self.until
            case Phase.BOOTING:
                return self._limit_ends(self.since, self.limits.boot)
            case Phase.UP if report.activity is Activity.BUSY and report.deadline:
                return report.deadline
            case Phase.UP if report.activity is Activity.SETTLING:
                return self._limit_ends(report.since, self.limits.record)
            case Phase.UP if report.activity is Activity.LEAVING:
                return self._limit_ends(report.since, self.limits.hang)
            case Phase.INTERRUPTED:
                return (
                    self.until if report.interrupted else min(self.until, self.interrupt_again_at)
                )
            case _:
                return float("inf")

    @property
    def why_down(self) -> str:
        """The reason why its children do not boot, in words."""
        return self.boot_error or self.last_exit

    # --- what `Children` reports -------------------------------------------------------------

    def end_backoff(self) -> None:
        """End the wait for the next child: the reason of the last failure may be gone."""
        self.until = 0.0

    def wait(self, until: float, now: float) -> None:
        """Wait until this time before the next child."""
        self.until = until
        self._enter(Phase.BACKOFF, now)

    def request_end(self, number: int, cause: Cause, grace: float | None = None) -> None:
        """Request the end of the child's job, if it still is the execution with this number.

        Args:
            number: the number of the execution.
            cause: the cause to record.
            grace: seconds between interruption and kill; None for the slot's own.
        """
        self.end_request = EndRequest(number, cause, self.limits.grace if grace is None else grace)

    def spawned(self, now: float) -> None:
        """Note that a child was forked."""
        self.generation += 1
        self._enter(Phase.BOOTING, now)
        self.leaving = self.crashed = False
        self.boot_error, self.boot_code = "", exit_codes.INTERNAL_ERROR
        self.cause = self.end_request = None
        self.no_progress_since = 0.0

    def spawn_failed(self, now: float, why: str) -> None:
        """Note that the kernel refused to fork."""
        self.last_exit = why
        self._back_off(now)

    def begin_end(self, now: float, cause: Cause | None) -> None:
        """Note that the child has died, or is to be killed for a cause, with its process tree."""
        self.cause = cause
        self._enter(Phase.ENDING, now)

    def stuck(self, now: float) -> None:
        """Note that a process of the child's tree survives SIGKILL."""
        self._enter(Phase.STUCK, now)

    def died(
        self, now: float, record: ExitRecord, report: Report, *, booted: bool, oom: bool = False
    ) -> Cause | None:
        """Note that the child and its process tree are gone.

        Args:
            now: the monotonic time.
            record: how the child ended.
            report: its last report.
            booted: True when it had become ready.
            oom: True when the kernel killed it because memory ran out.

        Returns:
            The cause to record for the job that it ran; None when it exited as ordered.
        """
        in_job = report.activity in (Activity.BUSY, Activity.SETTLING)
        # A child that exits before READY without being asked failed to boot, with any exit code.
        may_leave = report.activity in (Activity.IDLE, Activity.LEAVING) or self.leaving
        left = record.is_orderly and may_leave and not in_job and self.cause is None
        by_itself = Cause.OOM if oom else Cause.CRASHED if booted or in_job else Cause.BOOT
        cause = None if left else self.cause or by_itself
        self.last_exit = f"{self.cause}: {record}" if self.cause else str(record)
        self.restarts += not left
        has_worked = in_job or (booted and report.settled > 0)
        self.crashed = has_worked and cause in _CRASHES
        if left or self.retired or self.cause is Cause.STOPPED or has_worked:
            self._enter(Phase.EMPTY, now)
        else:
            self._back_off(now)
        return cause

    def _forget_failures(self, now: float, report: Report) -> None:
        """Reset the failures once the child has settled a job or has run for a minute."""
        if self.failures and (report.settled or now - self.since > _PROVEN_AFTER):
            self.failures = 0

    # --- transitions -------------------------------------------------------------------------

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now

    def _back_off(self, now: float) -> None:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self.failures, 10))
        self.failures += 1
        self.until = now + delay * random_between(1 - _DELAY_SPREAD, 1 + _DELAY_SPREAD)
        self._enter(Phase.BACKOFF, now)

    def _boot(self, now: float, report: Report) -> Action:
        if report.activity >= Activity.IDLE:
            self._enter(Phase.UP, now)
            return Action.READY
        if now >= self._limit_ends(self.since, self.limits.boot):
            return self._kill(now, Cause.BOOT)
        return Action.NOTHING

    def _watch(self, now: float, report: Report) -> Action:
        self._forget_failures(now, report)
        match report.activity:
            case Activity.BUSY:
                request = self._due_request(now, report)
                return self._interrupt(now, request) if request else Action.NOTHING
            case Activity.SETTLING:
                ends = self._limit_ends(report.since, self.limits.record)
            case Activity.LEAVING:
                ends = self._limit_ends(report.since, self.limits.hang)
            case _ if self.no_progress_since:  # found at samples only, so `since` may be later
                since = max(self.no_progress_since, report.since)
                ends = self._limit_ends(since, self.limits.hang)
            case _:
                return Action.NOTHING
        return self._kill(now, Cause.CRASHED) if now >= ends else Action.NOTHING

    def _limit_ends(self, since: float, limit: float) -> float:
        return max(since, self.limits_count_from) + limit

    def _due_request(self, now: float, report: Report) -> EndRequest | None:
        """Return the request to end the current job, or one for its timeout, or None."""
        if self.end_request is not None and self.end_request.number == report.started:
            return self.end_request
        if report.deadline and now >= report.deadline:
            return EndRequest(report.started, Cause.TIMEOUT, self.limits.grace)
        return None

    def _interrupt(self, now: float, request: EndRequest) -> Action:
        self.interrupted_execution, self.interruption_cause = request.number, request.cause
        self._enter(Phase.INTERRUPTED, now)
        if request.grace <= 0:
            self.until, self.interrupt_again_at = now + _TIME_TO_DUMP_STACKS, float("inf")
            return Action.DUMP_STACKS
        self.until, self.interrupt_again_at = now + request.grace, now + _pause_after(0.0)
        return Action.INTERRUPT

    def _await_reaction(self, now: float, report: Report) -> Action:
        if report.activity is not Activity.BUSY or report.started != self.interrupted_execution:
            self._enter(Phase.UP, now)
            return Action.NOTHING
        if (other := self._request_without_grace()) is not None:
            return self._kill(now, other.cause)
        if now >= self.until:
            return self._kill(now, self.interruption_cause)
        if now >= self.interrupt_again_at and not report.interrupted:
            self.interrupt_again_at = now + _pause_after(now - self.since)
            return Action.INTERRUPT_AGAIN
        return Action.NOTHING

    def _request_without_grace(self) -> EndRequest | None:
        """Return a later request for the interrupted job, of another cause and without grace."""
        request = self.end_request
        if request is None or request.number != self.interrupted_execution or request.grace > 0:
            return None
        return request if request.cause is not self.interruption_cause else None

    def _kill(self, now: float, cause: Cause) -> Action:
        self.begin_end(now, cause)
        return Action.KILL


def _pause_after(waited: float) -> float:
    """Return the seconds until the next interruption of a job that has not reacted for so long."""
    return min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, waited / 4))
