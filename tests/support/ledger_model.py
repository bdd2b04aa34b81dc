"""The rules of the ledger once more, as naively as they can be written: the oracle of the tests."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult
from gigq.model.job_status import JobStatus
from gigq.model.retry_decision import MAX_RELEASED_ATTEMPTS

if TYPE_CHECKING:
    from gigq.model.claim import Claimant

UNFINISHED = {"pending", "running"}
WITHOUT_SUCCESS = {"failed", "timeout", "cancelled"}
SLOW = 5
"""The timeout of jobs that are to travel alone where the claimant is picky."""
CRASHES = {Cause.CRASHED, Cause.MEMORY, Cause.OOM}


MAX_SNOOZES = 2
"""The `max_snoozes` of every job of the model."""


@dataclass
class Execution:
    """One start of a job. `current`: the job still points to it; `over`: it is settled."""

    id: str
    job: str
    run: str
    started: int
    attempt: int
    current: bool = True
    over: bool = False
    asked: bool = False


@dataclass
class ModelJob:
    """A job as the rules say it must be. Times are seconds on the test's clock."""

    id: str
    age: int
    priority: int
    queue: str
    max_attempts: int
    policy: str
    parents: list[str]
    timeout: int | None
    retry_delay: int
    crash_limit: int | None
    not_before: int | None
    status: str = "pending"
    attempts: int = 0
    refunds: int = 0
    crashes: int = 0
    snoozes: int = 0
    starts: int = 0
    snatched: int = 0
    ended: int | None = None
    never_again: bool = False
    by_parent: bool = False
    expires: int | None = None
    waits: set[str] = field(default_factory=set)


class Model:
    """What the store must hold after each verb."""

    def __init__(self) -> None:
        self.now = 0
        self.jobs: dict[str, ModelJob] = {}
        self.executions: dict[str, Execution] = {}
        self.forgotten: dict[str, Execution] = {}

    def submit(self, job: ModelJob) -> None:
        """A parent that has ended without success fails the job, unless its policy says else."""
        self.jobs[job.id] = job
        ended = {p for p in job.parents if self.jobs[p].status in WITHOUT_SUCCESS}
        if ended and job.policy == "fail":
            job.by_parent = True
            self.fall(job, "failed")
            return
        job.waits = {p for p in job.parents if self.jobs[p].status in UNFINISHED}
        job.waits |= ended if job.policy == "wait" else set()

    def best(self, claimant: Claimant) -> ModelJob | None:
        """The job that a claim must take now."""
        return next(iter(self.due(claimant)), None)

    def due(self, claimant: Claimant) -> list[ModelJob]:
        """All that may be claimed now, in order; what has expired has ended before."""
        self.expire()
        for job in self.jobs.values():
            if job.status == "pending" and not job.waits and (job.not_before or 0) <= self.now:
                job.not_before = None
        due = [
            job
            for job in self.jobs.values()
            if job.status == "pending"
            and not job.waits
            and job.not_before is None
            and (claimant.queues is None or job.queue in claimant.queues)
        ]
        return sorted(due, key=lambda job: (-job.priority, job.age))

    def best_few(
        self, claimant: Claimant, most: int, sharers: int, *, picky: bool
    ) -> list[ModelJob]:
        """The jobs that a claim of several must take now: those that may travel, or the best."""
        due = self.due(claimant)
        queues = {job.queue for job in due} if claimant.queues is None else set(claimant.queues)
        share = math.ceil(min(len(due), most * sharers) / sharers)
        if len(queues) > most or share < 2:
            return due[:1]
        few = list(
            itertools.takewhile(
                lambda job: self.may_travel(job) and not (picky and job.timeout == SLOW),
                due[: min(share, most)],
            )
        )
        return few if len(few) > 1 else due[:1]

    def may_travel(self, job: ModelJob) -> bool:
        """Not the last attempt."""
        return job.attempts + 1 < job.max_attempts

    def start(self, job: ModelJob, execution_id: str, run: str) -> None:
        """An attempt begins; what another gigq has left open of the job is over."""
        for old in self.open_of(job.id):
            old.over, old.current = True, False
        job.status, job.attempts, job.starts = "running", job.attempts + 1, job.starts + 1
        started = Execution(execution_id, job.id, run, self.now, job.attempts)
        self.executions[execution_id] = started

    def open_of(self, job_id: str) -> list[Execution]:
        """The executions of a job that are not settled."""
        return [e for e in self.executions.values() if e.job == job_id and not e.over]

    def end(self, execution_id: str, ending: ExecutionResult) -> ModelJob | None:
        """Settle; the job, or None when it was not the job's current execution."""
        execution = self.executions.get(execution_id)
        if execution is None or execution.over:
            return None
        execution.over = True
        job = self.jobs[execution.job]
        if job.status != "running" or not execution.current:
            return None
        self._end(job, execution, ending)
        if job.status not in UNFINISHED:  # the clock may have been set back since the start
            job.ended = max(self.now, execution.started)
        return job

    def release(self, execution_id: str) -> ModelJob | None:
        """Undo a claim that has not started; the job, or None as above."""
        execution = self.executions.get(execution_id)
        if execution is None or execution.over:
            return None
        if execution.asked:
            return self.end(execution_id, ExecutionResult(JobStatus.FAILED, cause=Cause.STOPPED))
        self.forgotten[execution_id] = self.executions.pop(execution_id)
        job = self.jobs[execution.job]
        if job.status != "running" or not execution.current:
            return None
        job.status = "pending"
        job.attempts, job.starts = job.attempts - 1, job.starts - 1
        return job

    def _end(self, job: ModelJob, execution: Execution, ending: ExecutionResult) -> None:
        crashed = ending.cause in CRASHES
        stopped = ending.cause is Cause.STOPPED
        if ending.status is JobStatus.COMPLETED:
            job.status, job.ended = "completed", self.now
            for other in self.jobs.values():
                other.waits.discard(job.id)
            return
        job.crashes += crashed
        if ending.retry.snooze and not execution.asked:
            self.snooze(job, ending)
            return
        if execution.asked or (ending.status is JobStatus.CANCELLED and not stopped):
            self.fall(job, "cancelled")
        elif (
            stopped
            and not ending.final
            and job.max_attempts > 1
            and job.refunds < MAX_RELEASED_ATTEMPTS
        ):
            job.status, job.not_before, job.expires = "pending", None, None
            job.attempts, job.refunds = job.attempts - 1, job.refunds + 1
        elif ending.final or job.attempts >= job.max_attempts:
            self.fall(job, "timeout" if ending.status is JobStatus.TIMEOUT else "failed")
        elif crashed and job.crash_limit is not None and job.crashes >= job.crash_limit:
            self.fall(job, "failed")
        else:
            self._try_again(job, _delay(job, ending), ending)

    def snooze(self, job: ModelJob, ending: ExecutionResult) -> None:
        """A job puts itself off, which uses no attempt, unless it has done so too often."""
        if job.snoozes >= MAX_SNOOZES:
            self.fall(job, "failed")
            return
        job.snoozes += 1
        job.starts -= 1
        job.attempts -= 1
        self._try_again(job, int(ending.retry.delay or 0), ending)

    def _try_again(self, job: ModelJob, delay: int, ending: ExecutionResult) -> None:
        """A job waits for its next start, unless it would expire before."""
        if job.expires is None or job.expires > self.now + delay:
            job.status = "pending"
            job.not_before = self.now + delay if delay else None
        elif ending.retry.snooze:
            self.fall(job, "failed" if job.attempts else "cancelled")
        else:
            self.fall(job, "timeout" if ending.status is JobStatus.TIMEOUT else "failed")

    def expire(self) -> None:
        """End the pending jobs that have not started in time; those that were tried fail."""
        over = [
            job
            for job in self.jobs.values()
            if job.status == "pending" and job.expires is not None and job.expires <= self.now
        ]
        for job in over:
            job.status = "failed" if job.attempts else "cancelled"
        for job in over:
            self.fall(job, job.status)

    def fall(self, job: ModelJob, status: str) -> None:
        """A job ends without success, and its dependents meet their policies."""
        job.status, job.ended, job.not_before = status, self.now, None
        for other in [j for j in self.jobs.values() if job.id in j.waits]:
            if other.policy != "wait":
                other.waits.discard(job.id)
            if other.policy == "fail" and other.status == "pending":
                other.by_parent = True
                self.fall(other, "failed")

    def cancel(self, job: ModelJob) -> bool:
        """Cancel a pending job."""
        if job.status != "pending":
            return False
        job.never_again = True
        self.fall(job, "cancelled")
        return True

    def ask(self, job: ModelJob) -> bool:
        """Ask for the end of a running one."""
        asked = [e for e in self.open_of(job.id) if e.current and job.status == "running"]
        for execution in asked:
            execution.asked = job.never_again = True
        return bool(asked)

    def requeue(
        self, job: ModelJob, *, dependents: bool, one_more: bool, delay: int | None
    ) -> set[str]:
        """Send back what ended without success, as if it had never been started; which jobs?"""
        wanted = {job.id}
        while dependents and (more := self._failed_because_of(wanted)):
            wanted |= more
        back = {id_ for id_ in wanted if self.jobs[id_].status in WITHOUT_SUCCESS}
        while held := {id_ for id_ in back if self._is_held_back(self.jobs[id_], back)}:
            back -= held
        for id_ in back:
            self._reset(self.jobs[id_], one_more=one_more)
            self.jobs[id_].not_before = None if delay is None else self.now + delay
        for one in (self.jobs[id_] for id_ in back):
            wanted_ends = UNFINISHED if one.policy == "run" else UNFINISHED | WITHOUT_SUCCESS
            known = {p for p in one.parents if p in self.jobs}
            one.waits -= set(one.parents)
            one.waits |= {p for p in known if self.jobs[p].status in wanted_ends}
        return back

    def _failed_because_of(self, wanted: set[str]) -> set[str]:
        return {
            job.id
            for job in self.jobs.values()
            if job.status == "failed" and job.by_parent and wanted.intersection(job.parents)
        } - wanted

    def _is_held_back(self, job: ModelJob, back: set[str]) -> bool:
        stay = {p for p in job.parents if p in self.jobs} - back
        return job.policy == "fail" and any(self.jobs[p].status in WITHOUT_SUCCESS for p in stay)

    def _reset(self, job: ModelJob, *, one_more: bool) -> None:
        used = job.max_attempts - 1 if one_more and job.attempts else 0
        job.status, job.attempts, job.starts = "pending", used, used
        job.refunds = job.crashes = job.snoozes = 0
        job.not_before = job.ended = job.expires = None
        job.never_again, job.snatched, job.by_parent = False, 0, False

    def clear(self, before: int | None) -> set[str]:
        """Delete what is over and not needed; which jobs?"""
        needed = {p for j in self.jobs.values() if j.status in UNFINISHED for p in j.parents}
        gone = {
            job.id
            for job in self.jobs.values()
            if job.status in {"completed", "cancelled"}
            and job.id not in needed
            and not self.open_of(job.id)
            and (before is None or (job.ended or 0) < before)
        }
        self.jobs = {id_: job for id_, job in self.jobs.items() if id_ not in gone}
        self.executions = {e.id: e for e in self.executions.values() if e.job not in gone}
        return gone

    def snatch(self, job: ModelJob) -> None:
        """Foreign SQL makes a running job pending and leaves its execution open."""
        for execution in self.open_of(job.id):
            execution.current = False
        job.status, job.never_again = "pending", False
        job.snatched += 1


def _delay(job: ModelJob, ending: ExecutionResult) -> int:
    """The seconds to the next attempt by the usual rule for a cause."""
    if ending.retry.delay is not None:
        return int(ending.retry.delay)
    if ending.cause in {Cause.LOST, Cause.BOOT, Cause.STOPPED}:
        return 0
    return max(job.retry_delay, 1) if ending.cause is Cause.CRASHED else job.retry_delay
