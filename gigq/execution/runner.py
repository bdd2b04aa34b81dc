"""The runner of a worker thread: claims, runs and settles, one job at a time."""

from __future__ import annotations

import logging
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from gigq.execution import attempt, job_events, retry_advice, timer_interrupt
from gigq.execution.callbacks import Overrides
from gigq.execution.error_text import headline
from gigq.execution.exchanges import Exchanges, patiently
from gigq.execution.held_claims import BatchSizing, HeldClaims
from gigq.execution.job_context import PlainJobContext
from gigq.execution.open_transactions import OpenTransactions
from gigq.execution.unknown_functions import UnknownFunctions
from gigq.execution.waking import Waking
from gigq.model import codec
from gigq.model.cause import Cause
from gigq.model.claim import Claim, Claimant, ClaimRequest
from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.verbs import jobs, rows_of_other_programs, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.callbacks import Callbacks, Settings
    from gigq.model.claim import ExpiredJob, SettleBatch, Settled
    from gigq.model.function_import import FunctionRef
    from gigq.store.backend import StoreHandle
    from gigq.store.database import Database

    Settlings = list[Settled | None]


class Runner:
    """Claims, runs and settles jobs in one thread.

    1. Settles finished jobs and claims the next ones, in one transaction.
    2. Runs them one by one. Short jobs are claimed and settled several at once; a claim that does
       not start soon is released.
    3. Keeps a result that the database refuses, and settles it first next time.

    Attributes:
        worker_id: the worker's name in this thread.
        store: the queue.
        settings: may be replaced between two calls.
        current_job_id: the job that runs here now.
        logger: the logger of this thread's worker.
        exchanges: its exchanges with the store.
        waking: its wakeups.
        transactions: those that code of the application leaves open.
        unknown: the functions that it could not find.
    """

    def __init__(
        self,
        worker_id: str,
        store: StoreHandle,
        settings: Settings,
        callbacks: Callbacks,
        overrides: Overrides = Overrides(),  # noqa: B008 - a value that never changes
    ) -> None:
        self.worker_id = worker_id
        self.store = store
        self.settings = settings
        self.current_job_id: str | None = None
        self.logger = logging.getLogger(f"gigq.worker.{worker_id}")
        self._callbacks = callbacks
        self._overrides = overrides
        self.exchanges = Exchanges()
        self.waking = Waking(store)
        self.transactions = OpenTransactions(store, self.logger)
        self.unknown = UnknownFunctions(settings.unknown_function_wait)
        self._held = HeldClaims()
        self._unreadable: deque[tuple[dict[str, Any], Exception]] = deque()
        self._batch_sizing = BatchSizing(settings.most_at_once)
        self._reports = callbacks.reports or job_events.JobEvents(self.logger)
        self._context = callbacks.job_context or PlainJobContext(store.is_cancel_requested)
        self._timer = timer_interrupt.for_this_thread()
        self._interrupter = callbacks.interrupter or self._timer
        self._ctrl_c = False
        self._environment_of = settings
        self._environment = self._new_environment()

    @property
    def claimant(self) -> Claimant:
        """The claimant that executions of this thread name."""
        return Claimant(self.worker_id, self.store.run, self.settings.queues)

    @property
    def held(self) -> int:
        """Number of claims held here besides the running one."""
        return len(self._held) + len(self._unreadable)

    def process_one(self, *, in_loop: bool = True) -> bool:
        """Claim, run and settle one job; False when none was due or may start."""
        self._begin(in_loop=in_loop)
        self._release()
        self._overrides.check_for_timeouts()
        claim = self._claim()
        if claim is None or not self._may_start(claim):
            return False
        self._run(claim)
        self._finish(claim)
        self._pass_on_ctrl_c()
        return True

    def work_off(self, keep_going: Callable[[], bool], *, in_loop: bool = True) -> int:
        """Run jobs until nothing is due or `keep_going()` is false; return how many ran."""
        self._begin(in_loop=in_loop)
        done = 0
        while (claim := self._next(more=not self._ctrl_c and keep_going())) is not None:
            if not self._may_start(claim):
                break
            self._run(claim)
            done += 1
        self._pass_on_ctrl_c()
        return done

    def release_others(self, database: Database) -> None:
        """Settle or release all claims but the running one, in the middle of that job's code.

        Args:
            database: one with a connection that the job's code cannot be using.

        Raises:
            StoreError: the database refused; all claims are still held.
        """
        done = self._settle(self._held.release(), database)
        self._reports.unreported(done)
        self.waking.wake([queue for one in done if one for queue in one.due_in])

    def interrupt(self) -> None:
        """Raise `JobStopped` in the job that runs here; return when there is none."""
        self._timer.stop()

    def complete(self, execution_id: str, result: ExecutionResult) -> None:
        """Settle an execution for `Worker._complete_job`."""
        before = self._held.result_of(execution_id)
        if before is None:
            settle_and_claim.settle(self.store.database, execution_id, result)
            return
        self._held.change(execution_id, _with_what_is_known(result, before))
        self._release()

    def _begin(self, *, in_loop: bool) -> None:
        self.transactions.begin(in_loop=in_loop)
        if self.settings.hooks is not None:
            self.settings.hooks.start()
            self.transactions.end("worker_start")

    # Claiming.

    def _claim(self) -> Claim | None:
        """Claim a job, through `_claim_job` if a subclass overrides it with its own SQL."""
        claim_job = self._overrides.claim_job
        if claim_job is None:
            return self._exchange(more=True, most=1)
        self.exchanges.release_unconfirmed(self.store.database)
        while (row := self._claim_through(claim_job)) is not None:
            self._hold([row])
            if (claim := self._held.next()) is not None:
                return claim
        return None

    def _claim_through(self, claim_job: Callable[[], Any]) -> dict[str, Any] | None:
        row = claim_job()
        rows_of_other_programs.end_transaction(self.store.connect(), keep=row is not None)
        if row is None:
            return None
        columns = {key: row[key] for key in row.keys()}  # noqa: SIM118 - it may be a sqlite3.Row
        execution_id = columns.get("execution_id") or new_id()
        database = self.store.database
        adopted = self.exchanges.adopt(database, columns["id"], execution_id, self.claimant)
        return adopted and {**adopted, **columns, "execution_id": execution_id}

    def _next(self, *, more: bool) -> Claim | None:
        """Return the next claim to run: a held one, or the first of a new batch."""
        now, exchange = time.monotonic(), self.exchanges.last_took
        ahead = self._held.first(now) if more else None
        if ahead is None or not self._batch_sizing.is_short(ahead):
            most = self._batch_sizing.size(exchange, has_failures=self._held.has_failures)
            return self._exchange(more=more, most=most)
        if self._held.is_overdue(now, exchange):
            self._settle(self._held.finished)
            return self._next(more=more)  # the claims may be too old by now
        return self._held.next()

    def _release(self) -> None:
        """Settle finished claims, and release those that have not started."""
        self._exchange(more=False)

    def _settle(self, batch: SettleBatch, database: Database | None = None) -> Settlings:
        done = self.exchanges.exchange(database or self.store.database, batch).settled
        self._held.note_settled(batch, done)
        return done

    def _exchange(self, *, more: bool, most: int = 1) -> Claim | None:
        """Settle or release all held claims and, with `more`, claim the next jobs."""
        while rows := self._swap(more=more, most=most):
            self._hold(rows)
            if (claim := self._held.next()) is not None:
                return claim
        if more:
            self.waking.note_idle()
        self._batch_sizing.rest()
        return None

    def _swap(self, *, more: bool, most: int) -> list[dict[str, Any]]:
        self.transactions.end_of_batch()
        self._fail_unreadable()
        batch, done = self._held.release(), settle_and_claim.Exchanged([], [], [])
        if more:
            sharers, may_claim = self.settings.sharers, self._callbacks.may_claim
            unknown, fits = self.unknown.names(), self._batch_sizing.fits
            request = ClaimRequest(new_id(), most, sharers, fits, may_claim, unknown)
            done = self.exchanges.exchange(self.store.database, batch, self.claimant, request)
            self._held.note_settled(batch, done.settled)
        elif batch:
            self._settle(batch)
        self.transactions.look_at_connection()
        self._report_settled(done.claimed, done.expired)
        return done.claimed

    def _hold(self, rows: list[dict[str, Any]]) -> None:
        """Hold the claims of claimed rows, and fail the rows that cannot be read."""
        read: list[Claim] = []
        for row in rows:
            try:
                read.append(Claim.from_row(row))
            except Exception as error:  # noqa: BLE001 - one row that foreign SQL wrote must not stop the others
                self._unreadable.append((row, error))
        self._held.add(read, time.monotonic())
        self._fail_unreadable()

    def _fail_unreadable(self) -> None:
        """Fail claimed rows that cannot be read; try again later if the database refuses."""
        while self._unreadable:
            row, error = self._unreadable[0]
            said = headline(error)
            result = ExecutionResult(JobStatus.FAILED, error=said, cause=Cause.ERROR, final=True)
            settle_and_claim.settle(self.store.database, row["execution_id"], result)
            self._unreadable.popleft()
            self._reports.unreadable(row, error)

    # Running.

    def _may_start(self, claim: Claim) -> bool:
        """Return True when a claim may start; otherwise it is released."""
        if self._callbacks.may_start(claim):
            return True
        self._held.put_back(claim)
        self._release()
        return False

    def _run(self, claim: Claim) -> None:
        began = time.monotonic()
        self.waking.before_job(self.settings.queues)
        self.current_job_id = claim.job_id
        self._reports.started(claim)
        self._callbacks.started(claim)
        try:
            result = self._callbacks.finished(claim, self._attempt(claim))
        finally:
            self.current_job_id = None
        now = time.monotonic()
        self._held.finish(claim, result, now, now - began)
        self._batch_sizing.ran(claim, now - began, result.post_mortem)
        self.transactions.last_claim = claim
        if self.transactions.is_touched():
            self.transactions.end_of_job(claim)

    def _attempt(self, claim: Claim) -> ExecutionResult:
        if self._environment_of is not self.settings:
            self._environment_of = self.settings
            self._environment = self._new_environment()
        self.unknown.begin()
        result, self._ctrl_c = attempt.attempt(claim, self._context, self._environment)
        return self.unknown.judged(claim, result)

    def _new_environment(self) -> attempt.Environment:
        starts, default = self._callbacks.retry_function_starts, self.settings.default_retry
        advisor = retry_advice.Advisor(self._find, self._interrupter, starts, default)
        return attempt.Environment(
            self._find,
            self._parent_results,
            self._interrupter,
            self.settings.max_result_size,
            self.settings.hooks,
            partial(retry_advice.advised, advisor),
        )

    def _find(self, ref: FunctionRef) -> Callable[..., Any]:
        return self.unknown.find(ref, self.settings.allow, self._callbacks.import_function)

    def _parent_results(self, parents: tuple[str, ...]) -> dict[str, Any]:
        database = self.store.database
        found = patiently(lambda: jobs.results_of(database, parents), database.lock_timeout)
        return {parent: codec.decode(found.get(parent)) for parent in parents}

    # Settling.

    def _finish(self, claim: Claim) -> None:
        id_, db = claim.execution_id, self.store.database
        result, complete_job = self._held.result_of(id_), self._overrides.complete_job
        if result and complete_job and (end := settle_and_claim.final_outcome(db, id_, result)):
            value = codec.decode(end.result)
            complete_job(claim.job_id, id_, end.status, result=value, error=end.error)
            self._follow_up(claim)
        self._release()

    def _follow_up(self, claim: Claim) -> None:
        """Apply the effects of a `_complete_job` that settled the job with its own SQL."""
        if self._held.result_of(claim.execution_id) is not None:
            rows_of_other_programs.end_transaction(self.store.connect(), keep=True)
            self.waking.wake(rows_of_other_programs.follow_up(self.store.database, claim.job_id))

    def _report_settled(self, claimed: list[dict[str, Any]], expired: list[ExpiredJob]) -> None:
        job_events.expired(expired, self.logger)
        due = [queue for one in expired for queue in one.due_in]
        for claim, settled, finished in self._held.take_settled():
            if finished is not None:
                self._reports.settled(finished, settled)
                self._callbacks.settled(claim, settled)
                self.unknown.settled(finished.result.unknown, settled)
            elif settled is not None:
                self._reports.released(claim, settled)
            if settled is not None:
                due += settled.due_in
        self._reports.all_reported()
        self.transactions.end("subscriber")
        self.waking.wake(due, claimed)

    def _pass_on_ctrl_c(self) -> None:
        if self._ctrl_c:
            self._ctrl_c = False
            raise KeyboardInterrupt


def _with_what_is_known(result: ExecutionResult, before: ExecutionResult) -> ExecutionResult:
    if before.status is not result.status:
        return result
    return result._replace(
        cause=before.cause, post_mortem=before.post_mortem, failure=before.failure
    )
