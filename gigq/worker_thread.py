"""One thread of a worker: claims, runs and settles, one job at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from gigq import allow_list, codec, current, execution, hooks, interrupt, reports
from gigq.cause import Cause
from gigq.claim import Claim, Claimant, ClaimRequest
from gigq.hand import HeldClaims
from gigq.ids import new_id
from gigq.outcome import ExecutionResult, decide
from gigq.pace import Pace
from gigq.status import JobStatus
from gigq.store import claims, foreign, jobs
from gigq.surroundings import PlainSurroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gigq.store.database import Database
    from gigq.worker import Worker


class WorkerThread:
    """What a worker does in one of its threads, through the worker's own seams.

    1. Settles what it has run and claims what comes next, in one transaction.
    2. Runs it, and tells the observer and the log. Short jobs are claimed and settled several at
       once; what is claimed and not begun is handed back when its turn does not come soon.
    3. Keeps a result that the database would not take, and settles it first next time.

    Attributes:
        worker_id: the worker's name in this thread.
        current_job_id: the job that runs here now.
        logger: the logger of this thread's worker.
    """

    def __init__(self, worker: Worker, worker_id: str) -> None:
        self.worker_id = worker_id
        self.current_job_id: str | None = None
        self.logger = logging.getLogger(f"gigq.worker.{worker_id}")
        self._worker = worker
        self._held = HeldClaims()
        self._unreadable: deque[tuple[dict[str, Any], Exception]] = deque()
        self._pace = Pace(worker.most_at_once)
        self._reports = worker.reports or reports.Reports(self.logger)
        # A worker that was idle, or took others' wake-ups, wakes the next one for what it leaves.
        self._is_to_wake_next = True
        self._ctrl_c = False
        self._interrupter = interrupt.for_this_thread()

    @property
    def claimant(self) -> Claimant:
        """This thread as the store knows it."""
        return Claimant(self.worker_id, self._worker.run, self._worker.queues)

    @property
    def held(self) -> int:
        """How many claims are held here besides the running one."""
        return len(self._held) + len(self._unreadable)

    def process_one(self) -> bool:
        """Claim, run and settle one job; False when none was due."""
        hooks.begin(self._worker.hooks)
        self._release()
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
        hooks.begin(self._worker.hooks)
        done = 0
        while (claim := self._next(more=not self._ctrl_c and keep_going())) is not None:
            if not self._worker.may_run(claim):
                self._held.put_back(claim)
                self._release()
                break
            self._run(claim)
            done += 1
        self._pass_on_ctrl_c()
        return done

    def settle_meanwhile(self, database: Database) -> None:
        """Release all claims but the running one, in the middle of that job's code.

        Args:
            database: one with a connection that the job's code cannot be using.
        """
        batch = self._held.release()
        done, _ = claims.exchange(database, batch, None, None)
        self._held.note_settled(batch, done)
        self._reports.untold(done)
        self._wake([queue for one in done if one for queue in one.due_in])

    def interrupt(self) -> None:
        """Raise `JobStopped` in the job that runs here; return when there is none."""
        self._interrupter.stop()

    def took_wakeups(self) -> None:
        """Note that wake-ups were taken that other workers may need."""
        self._is_to_wake_next = True

    def complete(self, execution_id: str, result: ExecutionResult) -> None:
        """Settle an execution as `Worker._complete_job` was told to."""
        before = self._held.result_of(execution_id)
        if before is None:
            claims.settle(self._worker._database, execution_id, result)
            return
        self._held.change(execution_id, _with_what_is_known(result, before))
        self._release()

    # Claiming.

    def _claim(self) -> Claim | None:
        """Claim through `_claim_job`, which a subclass may have written with SQL of its own."""
        if not self._worker._overrides("_claim_job"):
            return self._exchange(more=True, most=1)
        while (row := self._claim_through_override()) is not None:
            if (claim := self._read(row)) is not None:
                return claim
        return None

    def _claim_through_override(self) -> dict[str, Any] | None:
        worker = self._worker
        row = worker._claim_job()
        foreign.end_transaction(worker._get_connection(), keep=row is not None)
        if row is None:
            return None
        columns = {key: row[key] for key in row.keys()}  # noqa: SIM118 - it may be a sqlite3.Row
        execution_id = columns.get("execution_id") or new_id()
        adopted = claims.adopt(worker._database, columns["id"], execution_id, self.claimant)
        return adopted and {**adopted, **columns, "execution_id": execution_id}

    def _next(self, *, more: bool) -> Claim | None:
        """The next claim to run: one that is held already, or the first of those claimed now."""
        now = time.monotonic()
        ahead = self._held.peek(now) if more else None
        if ahead is None or not self._pace.is_short(ahead):
            return self._exchange(more=more, most=self._pace.size())
        if self._held.is_overdue(now):
            self._settle_endings()
        return self._held.next()

    def _release(self) -> None:
        """Settle what has been run, and hand back what has not begun."""
        self._exchange(more=False)

    def _settle_endings(self) -> None:
        """Settle what has been run, and keep what has not begun."""
        batch = self._held.finished
        done, _ = claims.exchange(self._worker._database, batch, None, None)
        self._held.note_settled(batch, done)

    def _exchange(self, *, more: bool, most: int = 1) -> Claim | None:
        """Let go of what is held and, if there is to be `more`, claim what comes next."""
        while rows := self._swap(more=more, most=most):
            self._hold(rows)
            if (claim := self._held.next()) is not None:
                return claim
        self._is_to_wake_next = self._is_to_wake_next or more
        self._pace.rest()
        return None

    def _swap(self, *, more: bool, most: int) -> list[dict[str, Any]]:
        self._fail_unreadable()
        worker, batch = self._worker, self._held.release()
        request = self._wanted(most) if more else None
        if request is not None:
            worker.observer.claiming(request.first_id)
        rows: list[dict[str, Any]] = []
        if batch or more:
            claimant = self.claimant if more else None
            done, rows = claims.exchange(worker._database, batch, claimant, request)
            self._held.note_settled(batch, done)
        self._tell_what_was_settled(rows)
        return rows

    def _wanted(self, most: int) -> ClaimRequest:
        worker = self._worker
        return ClaimRequest(new_id(), most, worker.sharers, self._pace.fits, worker.may_claim)

    def _hold(self, rows: list[dict[str, Any]]) -> None:
        """Take claimed rows into the hand, and fail those that cannot be read."""
        read: list[Claim] = []
        for row in rows:
            try:
                read.append(Claim.from_row(row))
            except Exception as error:  # noqa: BLE001 - whatever foreign SQL wrote, the others go on
                self._unreadable.append((row, error))
        self._held.add(read, time.monotonic())
        self._fail_unreadable()

    def _read(self, row: dict[str, Any]) -> Claim | None:
        """A claimed row as a claim; None when it cannot be read, and is failed."""
        try:
            return Claim.from_row(row)
        except Exception as error:  # noqa: BLE001 - whatever foreign SQL wrote, the others go on
            self._unreadable.append((row, error))
            self._fail_unreadable()
            return None

    def _fail_unreadable(self) -> None:
        """End claimed rows that cannot be read; what the database does not take is tried again."""
        while self._unreadable:
            row, error = self._unreadable[0]
            said = execution.headline(error)
            result = ExecutionResult(JobStatus.FAILED, error=said, cause=Cause.ERROR, final=True)
            claims.settle(self._worker._database, row["execution_id"], result)
            self._unreadable.popleft()
            self._reports.unreadable(row, error)

    # Running.

    def _run(self, claim: Claim) -> None:
        began = time.monotonic()
        self._wake_the_next()
        self.current_job_id = claim.job_id
        self._reports.started(claim)
        self._worker.observer.started(claim)
        try:
            result = self._worker.observer.ended(claim, self._result_of(claim))
        finally:
            self.current_job_id = None
        now = time.monotonic()
        self._held.finish(claim, result, now, now - began)
        self._pace.ran(claim, now - began)

    def _result_of(self, claim: Claim) -> ExecutionResult:
        surroundings = self._worker.surroundings or PlainSurroundings(self._worker)
        interrupter = self._worker.interrupter or self._interrupter
        with interrupt.CtrlC() as ctrl_c, current.Running(claim, surroundings) as running:
            result = execution.run(
                claim,
                load=self._load,
                parent_results=self._parent_results,
                interrupter=interrupter,
                result_limit=self._worker.max_result_size,
                hooks=self._worker.hooks,
            )
        self._ctrl_c = ctrl_c.pressed
        interruption = interrupter.interruption or ctrl_c.interruption or running.seen
        # A job that uses SIGALRM itself, or runs in a thread, passes its limit undisturbed.
        interruption = interruption or running.overrun()
        if interruption is not None:
            result = result.after(interruption, time.monotonic())
        pressed = self._ctrl_c and result.status is not JobStatus.COMPLETED
        return result._replace(cause=Cause.STOPPED) if pressed else result

    def _load(self, claim: Claim) -> Callable[..., Any]:
        ref, allow = claim.function, self._worker.allow
        if allow is not None:
            allow_list.check(ref, allow)
        function = self._worker._import_function(ref.file or ref.module, ref.name)
        if allow is not None:
            allow_list.check_found(function, ref, allow)
        return function

    def _parent_results(self, parents: tuple[str, ...]) -> dict[str, Any]:
        found = jobs.results_of(self._worker._database, parents)
        return {parent: codec.decode(found.get(parent)) for parent in parents}

    # Settling.

    def _finish(self, claim: Claim) -> None:
        result = self._held.result_of(claim.execution_id)
        if result and self._worker._overrides("_complete_job") and _is_last(claim, result):
            self._complete_through_override(claim, result)
        self._release()

    def _complete_through_override(self, claim: Claim, result: ExecutionResult) -> None:
        self._worker._complete_job(
            claim.job_id,
            claim.execution_id,
            result.status,
            result=codec.decode(result.value),
            error=result.error,
        )
        if self._held.result_of(claim.execution_id) is not None:
            # It did not call ours. Its SQL may have ended the job; then the dependents come next.
            foreign.end_transaction(self._worker._get_connection(), keep=True)
            self._wake(foreign.follow_up(self._worker._database, claim.job_id))

    def _tell_what_was_settled(self, claimed: list[dict[str, Any]]) -> None:
        worker = self._worker
        due: list[str] = []
        for claim, settled, finished in self._held.take_settled():
            if finished is not None:
                self._reports.settled(finished, settled)
                worker.observer.settled(claim, settled)
            elif settled is not None:
                self._reports.handed_back(claim, settled)
            if settled is not None:
                due += settled.due_in
        self._reports.all_told()
        self._wake(due, claimed)

    def _wake(self, due: Sequence[str], claimed: Iterable[dict[str, Any]] = ()) -> None:
        """Wake idle workers for jobs that became due, less those that this one has taken itself."""
        if due:
            left = Counter(due) - Counter(row["queue"] for row in claimed)
            self._worker.place.notify(left)

    def _wake_the_next(self) -> None:
        if self._is_to_wake_next:
            self._is_to_wake_next = False
            if claims.anything_due(self._worker._database, self._worker.queues):
                self._worker.place.notify_alike(self._worker.queues)

    def _pass_on_ctrl_c(self) -> None:
        if self._ctrl_c:
            self._ctrl_c = False
            raise KeyboardInterrupt


class OfEachThread(threading.local):
    """What each thread that uses a worker has for itself."""

    own: WorkerThread | None = None


def _with_what_is_known(result: ExecutionResult, before: ExecutionResult | None) -> ExecutionResult:
    if before is None or before.status is not result.status:
        return result
    return result._replace(
        cause=before.cause, post_mortem=before.post_mortem, failure=before.failure
    )


def _is_last(claim: Claim, result: ExecutionResult) -> bool:
    """Whether nothing follows this attempt."""
    job = {
        "attempts": claim.attempt,
        "max_attempts": claim.max_attempts,
        "retry_delay": None,
        "refunds": 0,
        "error": None,
    }
    return decide(result, job, now="").status is not JobStatus.PENDING
