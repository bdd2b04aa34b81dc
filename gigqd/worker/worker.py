"""Worker process: claims jobs, runs them one at a time and reports on the scoreboard."""

from __future__ import annotations

import logging
import os
import resource
import time
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.errors import LockedByThisThread, StoreError
from gigq.execution.callbacks import Callbacks, Settings
from gigq.execution.job_context import PlainJobContext
from gigq.execution.job_events import JobEvents
from gigq.execution.runner import Runner
from gigq.model import allow_list, clock, function_import, served_queues
from gigq.model.execution_result import PostMortem
from gigq.model.job_status import JobStatus
from gigq.model.retry import Retry
from gigq.store.backend import StoreHandle
from gigq.store.migrate import Begin
from gigq.store.sqlite.connections import close_all_connections, require
from gigq.store.verbs import settle_and_claim
from gigqd import exit_codes, logs
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.linux import syscalls
from gigqd.worker.backend import backend_of
from gigqd.worker.boot import failure, is_of_the_application, prepare, trace
from gigqd.worker.idle_wait import SOON, IdleWait
from gigqd.worker.interruption import JobInterrupter
from gigqd.worker.interruption_report import InterruptionReport
from gigqd.worker.job_context import DaemonJobContext
from gigqd.worker.leaks.check import LeakCheck
from gigqd.worker.leaks.function_finder import FunctionFinder
from gigqd.worker.leaks.report import LeakReport
from gigqd.worker.leftover_processes import kill_own_descendants
from gigqd.worker.limits import stricter
from gigqd.worker.output import Output
from gigqd.worker.own_descriptors import OwnDescriptors
from gigqd.worker.random_seed import reseed
from gigqd.worker.recycling import RecyclingLimits
from gigqd.worker.release_claims import ClaimRelease
from gigqd.worker.repeated_errors import RepeatedErrors
from gigqd.worker.reporting import WorkerReports
from gigqd.worker.reserved_descriptors import ReservedDescriptors
from gigqd.worker.signal_wakeup import SignalWakeup
from gigqd.worker.usage import UsageMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.hooks import Hooks
    from gigq.model.claim import Claim, Settled
    from gigq.model.execution_result import ExecutionResult
    from gigqd.config import PoolConfig
    from gigqd.process.spawn import ChildContext

log = logs.get_logger(__name__)

_MOST_CLAIMS_PER_BATCH = 64
_MOST_CLAIMS_ON_SERVER = 256  # an exchange costs more there
_AFTER_A_DATABASE_ERROR = 1.0


def main(context: ChildContext) -> int:
    """Boot, then run jobs until asked to exit.

    Returns:
        The exit code.
    """
    context.cell.write(Report(Activity.BOOTING, since=time.monotonic()))
    pool = next(pool for pool in context.config.pools if pool.name == context.pool)
    reports = WorkerReports(context)
    events.send_to(logs.LibraryEvents())
    try:
        hooks = prepare(context.config, pool)
        if hooks is not None:
            hooks.start()
        role = WorkerRole(context, pool, reports, hooks)
    except BaseException as error:  # noqa: BLE001 - an import may even exit: all is reported
        application = is_of_the_application(error)
        reports.report_boot_error(failure(error), trace(error), application=application)
        return exit_codes.WORKER_BOOT_FAILED
    return role.run()


class WorkerRole:
    """The main loop of a worker process.

    1. Report on the scoreboard before and after each job.
    2. Give every job a log context, an output of its own and the limits of its pool.
    3. When no job is due, sleep until a wakeup, a delayed job's time or a signal. Claim nothing
       while the supervisor pauses claims.
    4. Exit after the current job when asked to, at a recycling limit, or after a job that was
       interrupted or leaked, but never with an outcome that is not recorded yet.
    """

    def __init__(
        self, context: ChildContext, pool: PoolConfig, reports: WorkerReports, hooks: Hooks | None
    ) -> None:
        self._context = context
        self._pool = pool
        self._reports = reports
        self._interrupter = JobInterrupter(context, reports, pool.timeout_grace)
        self._interruption = InterruptionReport(reports.json_socket)
        self._exit_requested, self._exit_reason = False, ""
        self._recycling = RecyclingLimits(pool, time.monotonic())
        if file := context.config.database_file:
            require(file)  # the recorder creates it; a file of a worker's would hide a loss
        self._backend = backend_of(context.config)
        self._is_on_server = context.config.database_file is None
        self._hooks = hooks
        self._allow = None if "*" in (allow := context.config.security.allow) else allow
        self._runner = self._make_runner()
        self._runner.transactions.end("worker_start")
        self._listener = self._backend.listener(pool.queues)
        self._idle_wait = IdleWait(on_server=self._is_on_server)
        assert context.stacks is not None
        self._signal_wakeup = SignalWakeup(self._on_sigterm, context.stacks)
        self._output = Output(context, pool.keep_output)
        self._reserved = ReservedDescriptors()
        self._own = OwnDescriptors(context.config.database_file, self._backend.held)
        leak_check = LeakCheck(self._signal_wakeup, pool.allowed_leaks, self._own.number_after_job)
        self._leaks = LeakReport(leak_check, reports.json_socket)
        self._functions = FunctionFinder(leak_check)
        self._interrupter.release = ClaimRelease(self._runner, self._backend, reports).release
        self._usage = UsageMeter()
        self._errors = RepeatedErrors(None if self._is_on_server else pool.record_timeout)
        self._file_size = resource.getrlimit(resource.RLIMIT_FSIZE)[0]

    def _make_runner(self) -> Runner:
        queue = self._context.config.queue
        store = StoreHandle(
            self._backend,
            begin=Begin.NEVER,
            lock_timeout=queue.lock_timeout,
            durable=queue.durability == "full",
            run=self._context.tag.run,
        )
        settings = Settings(
            served_queues.checked(self._pool.queues),
            self._allow,
            queue.max_result_size,
            self._hooks,
            _MOST_CLAIMS_ON_SERVER if self._is_on_server else _MOST_CLAIMS_PER_BATCH,
            self._pool.size,
            Retry(*self._context.config.retry_of(self._pool.name)),
            queue.unknown_function_wait,
        )
        callbacks = self._callbacks(store)
        if self._is_on_server:
            from gigqd.worker.claim_lease import guarded

            callbacks = guarded(callbacks, self._context.cell)
        return Runner(self._context.worker_id, store, settings, callbacks)

    def _callbacks(self, store: StoreHandle) -> Callbacks:
        cell = self._context.cell
        return Callbacks(
            self._started,
            self._finished,
            self._settled,
            self._may_claim,
            self._may_start,
            self._import_function,
            self._interrupter,
            DaemonJobContext(
                PlainJobContext(store.is_cancel_requested),
                cell,
                self._reports,
                lambda: self._exit_requested,
            ),
            self._job_events(),
            self._reports.retry_function_starts,
        )

    def _job_events(self) -> JobEvents:
        logger = logging.getLogger(f"gigq.worker.{self._context.worker_id}")
        return JobEvents(logger, self._context.config.log.jobs_per_second, self._context.counts)

    def run(self) -> int:
        """Run jobs until it is time to exit.

        Returns:
            The exit code.
        """
        while self._continues():
            wait = self._work()
            if not self._reports.started:
                syscalls.release_memory()
            if self._continues():
                self._sleep(wait)
        if self._exit_reason:
            log.info("worker_recycled", reason=self._exit_reason, jobs=self._reports.started)
        if self._hooks is not None:
            self._reports.leaving()
            self._hooks.stop()
        self._listener.close()
        self._backend.close()
        close_all_connections()  # also to other databases that its jobs have opened
        return exit_codes.WORKER_DONE

    def _work(self) -> float:
        """Run the due jobs; return the seconds to wait for more."""
        logs.follow()
        self._show_idle()
        try:
            wait = self._until_next_due(self._runner.work_off(self._may_claim))
            self._errors.end()
        except StoreError as error:
            if self._errors.note(error):
                self._exit_reason = "database_error"
            if isinstance(error, LockedByThisThread):
                os._exit(exit_codes.WORKER_RESIDUE)  # a job left its transaction open
            wait = _AFTER_A_DATABASE_ERROR
        self._show_idle()
        return min(wait, self._recycling.remaining(time.monotonic()))

    def _show_idle(self) -> None:
        """Report idle, unless an outcome is not recorded yet: its recording has a time limit."""
        if not self._runner.held:
            self._reports.idle()

    # --- called for each job -----------------------------------------------------------------

    def _import_function(self, module_name: str, function_name: str) -> Callable[..., Any]:
        return self._functions.find(module_name, function_name)

    def _started(self, claim: Claim) -> None:
        """Prepare the process and report busy, just before the job's function runs."""
        logs.enter_job(
            {
                "job_id": claim.job_id,
                "job": claim.name,
                "attempt": claim.attempt,
                "execution": claim.execution_id,
            }
        )
        self._functions.job_starts()
        self._recycling.job_began()
        self._output.empty()
        reseed()
        limit = stricter(claim.timeout, self._pool.timeout_limit)
        memory_limit = stricter(claim.memory_limit, self._pool.memory_limit)
        now = time.monotonic()
        limits = (limit, int(memory_limit or 0))
        self._reports.busy(claim, now, self._usage.begin(now), limits, self._runner.held)

    def _finished(self, claim: Claim, result: ExecutionResult) -> ExecutionResult:
        """Measure and clean up after the job's function, and return the result with a post-mortem.

        After a failure all processes that the job started are killed, because another attempt may
        begin as soon as this one is settled.
        """
        self._own.exit_if_closed()
        self._reports.settling()
        usage = self._usage.end(self._reports.peak())
        killed = result.status is not JobStatus.COMPLETED and self._kill_descendants()
        post_mortem = PostMortem(
            output=self._output.take(),
            stack=self._output.stacks() if self._interrupter.interrupted else None,
            peak_rss=usage.peak,
            cpu_time=usage.cpu_time,
            wall_time=usage.wall_time,
        )
        if self._interrupter.interrupted:
            self._interruption.ended(claim, result, post_mortem)
        # Before the settlement, which shares its transaction with the next claim.
        self._exit_reason = self._exit_reason_after(claim) or ("leaks" if killed else "")
        if post_mortem.output:
            logs.job_output(post_mortem.output)
        logs.leave_job()
        return result._replace(post_mortem=post_mortem)

    def _settled(self, claim: Claim, settled: Settled | None) -> None:
        """Report that the outcome is recorded, or was refused because another process was first."""
        self._reports.settled()
        if self._interrupter.interrupted:
            self._interruption.settled(claim, settled)

    def _require_file_size(self) -> None:
        """Exit before the settlement when a job has lowered the limit of file sizes for good.

        This process could not write to the database; the recorder settles the attempt.
        """
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != self._file_size:
            log.error("worker_cannot_write", limit="RLIMIT_FSIZE")
            os._exit(exit_codes.WORKER_RESIDUE)

    def _kill_descendants(self) -> bool:
        self._reserved.free_if_needed()
        return kill_own_descendants(self._context.tag)

    # --- going on or leaving -----------------------------------------------------------------

    def _may_claim(self) -> bool:
        return not (self._exit_requested or self._exit_reason) and self._context.cell.may_claim

    def _may_start(self, claim: Claim) -> bool:
        """Return False when a new worker must run the job, because other code here conflicts.

        A new worker runs its first job in any case, so that every job is run.
        """
        if function_import.was_found(claim.function) or not self._reports.started:
            return True
        if not allow_list.allows(claim.function, self._context.config.security.allow):
            return True
        conflict = function_import.conflict(claim.function)
        if conflict is not None:
            self._exit_reason = "code"
            log.debug("code_conflict", job_id=claim.job_id, reason=conflict)
        return conflict is None

    def _continues(self) -> bool:
        if self._runner.held:
            return True
        if not self._exit_reason and self._recycling.remaining(time.monotonic()) <= 0:
            self._exit_reason = "age"
        return not (self._exit_requested or self._exit_reason or self._context.cell.orders().leave)

    def _exit_reason_after(self, claim: Claim) -> str:
        """Return why the job that is over is the last one of this worker, or an empty text."""
        left = self._leaks.after(claim, self._reserved, streams_are_open=self._output.whole)
        if left or "limits" in self._pool.allowed_leaks:
            self._require_file_size()
        if self._interrupter.interrupted:
            return "interrupted"
        return "leaks" if left else self._recycling.reached(time.monotonic(), self._usage.resident)

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        self._exit_requested = True

    def _until_next_due(self, ran: int) -> float:
        # While claims are paused because of the database, it must not be used.
        longest = self._idle_wait.longest(ran)
        if longest <= SOON or not self._may_claim():
            return longest
        database = self._runner.store.database
        due_at = settle_and_claim.next_due_at(database, self._pool.queues)
        return self._runner.unknown.pause(clock.seconds_until(due_at, longest, database.now))

    def _sleep(self, longest: float) -> None:
        json_socket = self._reports.json_socket
        self._listener.wait(longest, (json_socket.fileno(), self._signal_wakeup.fileno()))
        self._signal_wakeup.drain()
        json_socket.receive()
        if json_socket.ended:
            os._exit(exit_codes.WORKER_PARENT_GONE)
