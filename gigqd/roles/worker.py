"""The worker: claims jobs and runs them, one at a time, and says on the scoreboard what it does."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from gigq import clock
from gigq.errors import StoreError
from gigq.outcome import PostMortem
from gigq.status import JobStatus
from gigq.store import claims
from gigq.store.bell import Bell
from gigq.store.connect import open_connection
from gigq.store.database import Database
from gigq.worker import Worker
from gigqd import exits, logs
from gigqd.child import OUTPUT_KEPT, tail
from gigqd.roles.asked import AskedToEnd
from gigqd.roles.ear import Ear
from gigqd.roles.line import Line
from gigqd.roles.prepare import failure, prepare
from gigqd.scoreboard import Activity, Report
from gigqd.spawn import flush_standard_streams
from gigqd.treekill import TreeKill

if TYPE_CHECKING:
    from gigq.claim import Claim, Settled
    from gigq.outcome import Ending
    from gigqd.config import PoolConfig
    from gigqd.spawn import Birth

log = logs.get_logger("gigqd.worker")

_LONGEST_WAIT = 30.0
_AFTER_TROUBLE = 1.0
_RECYCLE_SPREAD = 0.1
_LEFTOVERS_GONE_WITHIN = 5.0


def main(birth: Birth) -> int:
    """Boot, then work until told to leave.

    Returns:
        The exit code.
    """
    birth.cell.write(Report(Activity.BOOTING, since=time.monotonic()))
    pool = next(pool for pool in birth.config.pools if pool.name == birth.pool)
    line = Line(birth)
    try:
        prepare(birth.config, pool)
        role = WorkerRole(birth, pool, line)
    except BaseException as error:  # noqa: BLE001 - an import may even leave: all is reported
        line.tell_boot_error(failure(error))
        return exits.WORKER_BOOT_FAILED
    return role.run()


class WorkerRole:
    """Works until told to leave.

    1. Says on the scoreboard what it does, before and after each job.
    2. Gives every job a log context, an output of its own and the pool's time limit.
    3. Sleeps when nothing is due, until the bell rings, a delayed job is due, or it is to leave.
    4. Leaves after its job when told to, when it has done its number of jobs, or after a job
       that had to be interrupted or has closed its standard streams, which the next must not
       see; but never with an outcome that the database has not taken yet.
    """

    def __init__(self, birth: Birth, pool: PoolConfig, line: Line) -> None:
        self._birth = birth
        self._pool = pool
        self._line = line
        self._asked = AskedToEnd(birth, line)
        self._context = ExitStack()
        self._leaving = False
        self._unsettled = False
        self._spoiled = False
        self._jobs_left = _jobs_before_recycling(pool)
        queue = birth.config.queue
        self._queues = None if "*" in pool.queues else pool.queues
        self._worker = Worker(queue.database, worker_id=birth.worker_id, queues=self._queues)
        self._worker.run = birth.tag.run
        self._worker.observer = self
        self._worker.interrupter = self._asked
        self._worker.allow = birth.config.security.allow
        self._worker.lock_timeout = queue.lock_timeout
        self._worker.max_result_size = queue.max_result_size
        self._database = Database(lambda: open_connection(queue.database), queue.lock_timeout)
        self._bell = Bell(queue.database)
        assert birth.stacks is not None
        self._ear = Ear(self._leave_when_told, birth.stacks)

    def run(self) -> int:
        """Work until it is time to leave.

        Returns:
            The exit code.
        """
        while self._keep_going() or self._unsettled:
            self._line.idle()
            wait = _LONGEST_WAIT
            try:
                self._worker.work_off(self._keep_going)
                wait = self._until_next_due()
            except StoreError as error:
                log.error("store_trouble", error=str(error))
                wait = _AFTER_TROUBLE
            self._line.idle()
            if self._keep_going() or self._unsettled:
                self._sleep(wait)
        self._worker.close()
        return exits.WORKER_DONE

    # --- the worker reports ------------------------------------------------------------------

    def claiming(self, _execution_id: str) -> None:
        """A claim is about to be made; whatever comes of it is found by the worker's id."""

    def started(self, claim: Claim) -> None:
        """The first line of the job's function comes next."""
        self._context.enter_context(
            logs.job_context(
                job_id=claim.job_id,
                job=claim.name,
                attempt=claim.attempt,
                execution=claim.execution_id,
            )
        )
        self._unsettled = True
        # Counted here and not when it is settled: the next claim shares the settling transaction.
        self._jobs_left -= 1
        self._empty_output()
        self._line.busy(claim, _stricter(claim.timeout, self._pool.timeout_limit))

    def ended(self, claim: Claim, ending: Ending) -> Ending:
        """The job's function is over; unless it was a success, so must be all it has started.

        Another attempt may begin as soon as this one is settled.
        """
        self._line.settling(claim)
        if ending.status is not JobStatus.COMPLETED:
            self._end_what_the_job_started()
        output = self._take_output()
        stack = tail(self._birth.stacks, OUTPUT_KEPT) if self._asked.interrupted else None
        if not (output or stack):
            return ending
        return replace(ending, post_mortem=PostMortem(output=output, stack=stack))

    def settled(self, _claim: Claim, _settled: Settled | None) -> None:
        """The outcome is written down, or was refused because somebody else was first."""
        self._unsettled = False
        self._line.settled()
        self._context.close()

    def _end_what_the_job_started(self) -> None:
        """Kill what is left of the job, or die and leave it to the supervisor."""
        tag = self._birth.tag
        treekill = TreeKill(os.getpid(), lambda other: other == tag)
        deadline = time.monotonic() + _LEFTOVERS_GONE_WITHIN
        while not treekill.step():
            if time.monotonic() > deadline:
                log.error("leftovers_survive", denied=sorted(treekill.denied))
                os._exit(exits.WORKER_RESIDUE)
        if treekill.killed:
            log.warning("job_leftovers_killed", killed=treekill.killed)

    # --- going on or leaving -----------------------------------------------------------------

    def _keep_going(self) -> bool:
        return not (
            self._leaving
            or self._birth.cell.orders().leave
            or self._asked.interrupted
            or self._spoiled
            or self._jobs_left <= 0
        )

    def _leave_when_told(self, _number: int, _frame: object) -> None:
        self._leaving = True

    def _until_next_due(self) -> float:
        due_at = claims.next_due_at(self._database, self._queues)
        if due_at is None:
            return _LONGEST_WAIT
        wait = clock.parse(due_at) - clock.parse(clock.utc_now())
        return min(_LONGEST_WAIT, max(0.0, wait.total_seconds()))

    def _sleep(self, longest: float) -> None:
        self._bell.wait(longest, (self._line.wire.fileno(), self._ear.fileno()))
        self._ear.drain()
        self._line.wire.receive()
        if self._line.wire.ended:
            os._exit(exits.WORKER_PARENT_GONE)

    # --- output ------------------------------------------------------------------------------

    def _empty_output(self) -> None:
        flush_standard_streams()
        os.ftruncate(_output(self._birth), 0)

    def _take_output(self) -> str | None:
        self._spoiled = not flush_standard_streams()
        return tail(_output(self._birth), OUTPUT_KEPT) or None


def _jobs_before_recycling(pool: PoolConfig) -> float:
    """How many jobs to run, with a spread so that a pool's workers do not all leave at once."""
    if not pool.recycle_after_jobs:
        return float("inf")
    spread = random.uniform(1 - _RECYCLE_SPREAD, 1 + _RECYCLE_SPREAD)  # noqa: S311 - no secret
    return max(1, round(pool.recycle_after_jobs * spread))


def _stricter(*limits: float | None) -> float | None:
    """The shortest of some time limits; None when there is none."""
    return min((limit for limit in limits if limit is not None), default=None)


def _output(birth: Birth) -> int:
    assert birth.output is not None
    return birth.output
