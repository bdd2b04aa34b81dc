"""One thread of a worker: claims, runs and settles, one job at a time."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gigq import codec, current, execution, functions, interrupt, reports
from gigq.claim import Claim, Claimant
from gigq.errors import FunctionNotAllowed
from gigq.ids import new_id
from gigq.outcome import Ending, decide
from gigq.status import Cause, JobStatus
from gigq.store import claims, foreign, jobs
from gigq.surroundings import PlainSurroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.claim import Settled
    from gigq.worker import Worker


@dataclass(slots=True)
class Held:
    """A claim that this thread holds, with its ending once it has one, until it is settled."""

    claim: Claim
    ending: Ending | None = None


class WorkerThread:
    """What a worker does in one of its threads, through the worker's own seams.

    1. Settles what it has run and claims the next job, in one transaction.
    2. Runs it, and tells the observer and the log.
    3. Keeps an ending that the database would not take, and settles it first next time.

    Attributes:
        worker_id: the worker's name in this thread.
        current_job_id: the job that runs here now.
    """

    def __init__(self, worker: Worker, worker_id: str) -> None:
        self.worker_id = worker_id
        self.current_job_id: str | None = None
        self._worker = worker
        self._held: Held | None = None
        # Who was idle, or took others' rings, and then finds a job, rings for the next worker.
        self._is_to_ring = True
        self._ctrl_c = False

    @property
    def logger(self) -> logging.Logger:
        """The logger of this thread's worker."""
        return logging.getLogger(f"gigq.worker.{self.worker_id}")

    @property
    def claimant(self) -> Claimant:
        """This thread as the store knows it."""
        return Claimant(self.worker_id, self._worker.run, self._worker.queues)

    def process_one(self) -> bool:
        """Claim, run and settle one job; False when none was due."""
        self._settle_and_claim(more=False)
        self._worker._check_for_timeouts()
        claim = self._claim()
        if claim is None:
            return False
        self._run(claim)
        self._finish(claim)
        self._pass_on_ctrl_c()
        return True

    def work_off(self, keep_going: Callable[[], bool]) -> int:
        """Claim, run and settle until nothing is due or `keep_going()` is false; how many ran."""
        done = 0
        claim = self._settle_and_claim(more=keep_going())
        while claim is not None:
            self._run(claim)
            done += 1
            claim = self._settle_and_claim(more=not self._ctrl_c and keep_going())
        self._pass_on_ctrl_c()
        return done

    def took_rings(self) -> None:
        """Rings were taken that may have been meant for others."""
        self._is_to_ring = True

    def complete(self, execution_id: str, ending: Ending) -> None:
        """Settle an execution as `Worker._complete_job` was told to."""
        if self._held is None or self._held.claim.execution_id != execution_id:
            claims.settle(self._worker._database, execution_id, ending)
            return
        self._held.ending = _with_what_is_known(ending, self._held.ending)
        self._settle_and_claim(more=False)

    # Claiming.

    def _claim(self) -> Claim | None:
        """Claim through `_claim_job`, which a subclass may have written with SQL of its own."""
        worker = self._worker
        if not worker._overrides("_claim_job"):
            return self._settle_and_claim(more=True)
        row = worker._claim_job()
        foreign.end_transaction(worker._get_connection(), keep=row is not None)
        if row is None:
            return None
        columns = {key: row[key] for key in row.keys()}  # noqa: SIM118 - it may be a sqlite3.Row
        execution_id = columns.get("execution_id") or new_id()
        adopted = claims.adopt(worker._database, columns["id"], execution_id, self.claimant)
        return self._read(adopted and {**adopted, **columns, "execution_id": execution_id})

    def _settle_and_claim(self, *, more: bool) -> Claim | None:
        """Settle what this thread has run and, if there is to be `more`, claim the next job."""
        over = self._held if self._held and self._held.ending else None
        if over is None and not more:
            return None
        settled, row = self._exchange(over, more=more)
        if over is not None:
            self._held = None
            self._settled(over.claim, settled, claimed=row is not None)
        if row is None:
            self._is_to_ring = self._is_to_ring or more
            return None
        return self._read(row) or self._settle_and_claim(more=more)

    def _exchange(
        self, over: Held | None, *, more: bool
    ) -> tuple[Settled | None, dict[str, Any] | None]:
        execution_id = new_id() if more else None
        if execution_id is not None:
            self._worker.observer.claiming(execution_id)
        return claims.exchange(
            self._worker._database,
            over.claim.execution_id if over else None,
            over.ending if over else None,
            self.claimant if more else None,
            execution_id,
        )

    def _read(self, row: dict[str, Any] | None) -> Claim | None:
        """A claimed row as a claim. One that cannot be read fails, or it would stay for ever."""
        if row is None:
            return None
        try:
            return Claim.from_row(row)
        except (KeyError, TypeError, ValueError) as error:
            ending = Ending(JobStatus.FAILED, error=execution.told(error), final=True)
            claims.settle(self._worker._database, row["execution_id"], ending)
            reports.unreadable(row, error, self.logger)
            return None

    # Running.

    def _run(self, claim: Claim) -> None:
        self._wake_the_next()
        self._held = held = Held(claim)
        self.current_job_id = claim.job_id
        reports.started(claim, self.logger)
        self._worker.observer.started(claim)
        try:
            held.ending = self._worker.observer.ended(claim, self._ending_of(claim))
        finally:
            self.current_job_id = None

    def _ending_of(self, claim: Claim) -> Ending:
        pid = os.getpid()
        surroundings = self._worker.surroundings or PlainSurroundings(self._worker)
        with interrupt.watching_for_ctrl_c() as ctrl_c, current.running(claim, surroundings):
            ending = execution.run(
                claim,
                load=self._load,
                parent_results=self._parent_results,
                interrupter=self._worker.interrupter or interrupt.for_this_thread(),
                result_limit=self._worker.max_result_size,
            )
        if os.getpid() != pid:
            # The job forked and came back twice: this copy must not settle it, or go on.
            os._exit(0)
        self._ctrl_c = ctrl_c.is_set()
        pressed = self._ctrl_c and ending.status is not JobStatus.COMPLETED
        return replace(ending, cause=Cause.STOPPED) if pressed else ending

    def _load(self, claim: Claim) -> Callable[..., Any]:
        ref = claim.function
        self._refuse_unless_allowed(ref)
        function = self._worker._import_function(ref.file or ref.module, ref.name)
        # An allowed module may have imported a function that is not.
        self._refuse_unless_allowed(functions.own_reference(function, ref))
        return function

    def _refuse_unless_allowed(self, ref: functions.FunctionRef) -> None:
        allow = self._worker.allow
        if allow is not None and not functions.allowed(ref, allow):
            raise FunctionNotAllowed(
                f"{ref} is not among the functions that this worker may run "
                f"({', '.join(allow) or 'none'}); extend the allow list, or move the function"
            )

    def _parent_results(self, parents: tuple[str, ...]) -> dict[str, Any]:
        found = jobs.results_of(self._worker._database, parents)
        return {parent: codec.decode(found.get(parent)) for parent in parents}

    # Settling.

    def _finish(self, claim: Claim) -> None:
        ending = self._held.ending if self._held else None
        if ending and self._worker._overrides("_complete_job") and _is_last(claim, ending):
            self._complete_through_override(claim, ending)
        self._settle_and_claim(more=False)

    def _complete_through_override(self, claim: Claim, ending: Ending) -> None:
        self._worker._complete_job(
            claim.job_id,
            claim.execution_id,
            ending.status,
            result=codec.decode(ending.result),
            error=ending.error,
        )
        if self._held is not None:
            # It did not call ours. Its SQL may have ended the job; then the dependents come next.
            foreign.end_transaction(self._worker._get_connection(), keep=True)
            self._worker._ring(foreign.follow_up(self._worker._database, claim.job_id))

    def _settled(self, claim: Claim, settled: Settled | None, *, claimed: bool) -> None:
        reports.settled(claim, settled, self.logger)
        self._worker.observer.settled(claim, settled)
        if settled is not None:
            # Less the one job that this worker took itself.
            self._worker._ring(_became_due(settled) - claimed)

    def _wake_the_next(self) -> None:
        if self._is_to_ring:
            self._is_to_ring = False
            self._worker._ring(1)

    def _pass_on_ctrl_c(self) -> None:
        if self._ctrl_c:
            self._ctrl_c = False
            raise KeyboardInterrupt


def _became_due(settled: Settled) -> int:
    return settled.released + (settled.job_status is JobStatus.PENDING)


def _with_what_is_known(ending: Ending, before: Ending | None) -> Ending:
    if before is None or before.status is not ending.status:
        return ending
    return replace(ending, cause=before.cause, post_mortem=before.post_mortem)


def _is_last(claim: Claim, ending: Ending) -> bool:
    """Whether nothing follows this attempt."""
    job = {
        "attempts": claim.attempt,
        "max_attempts": claim.max_attempts,
        "retry_delay": None,
        "refunds": 0,
        "error": None,
    }
    return decide(ending, job, now="").status is not JobStatus.PENDING
