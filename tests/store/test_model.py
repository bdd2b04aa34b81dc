"""The store against a naive model: every verb in any order, with stale execution ids on purpose."""

from __future__ import annotations

import itertools
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support import raw_sql, stores
from support.claims import claim
from support.ledger import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FAILED_FOR_GOOD,
    STOPPED,
    TIMED_OUT,
    insert,
    job_row,
    request_cancel,
)
from support.ledger_model import MAX_SNOOZES, SLOW, Model, ModelJob
from support.set_clock import set_clock

from gigq.errors import StoreError
from gigq.execution import plain_worker_rescue
from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.claim import Claim, Claimant, ClaimRequest, Finished, SettleBatch
from gigq.model.execution_result import ExecutionResult, RetryAdvice
from gigq.model.job_status import TRANSITIONS, JobStatus
from gigq.model.retry_decision import MAX_RELEASED_ATTEMPTS
from gigq.model.retry_policy import RetryPolicy
from gigq.store.backend import backend_of
from gigq.store.dialect import SQLITE
from gigq.store.verbs import jobs, listing, requeue, settle_and_claim

LOST = ExecutionResult(JobStatus.FAILED, cause=Cause.LOST)
BASE = "2026-06-01T00:00:00.000000+00:00"
ENDINGS = [
    *(COMPLETED, COMPLETED, FAILED, FAILED, FAILED_FOR_GOOD, TIMED_OUT, STOPPED, CANCELLED),
    *(
        ExecutionResult(JobStatus.FAILED, error="it died", cause=cause)
        for cause in (Cause.CRASHED,)
    ),
    *(ExecutionResult(JobStatus.FAILED, cause=cause) for cause in (Cause.MEMORY, Cause.OOM)),
    LOST,
    *(
        ExecutionResult(
            JobStatus.FAILED,
            error="later",
            cause=Cause.SNOOZED,
            retry=RetryAdvice(delay, snooze=True),
        )
        for delay in (0, 4)
    ),
    FAILED._replace(retry=RetryAdvice(delay=6)),
]
RUNS = ["worker:alive", "worker:dead", "daemon:1"]
WHO = st.builds(
    Claimant,
    worker_id=st.just("w"),
    run=st.sampled_from(RUNS),
    queues=st.sampled_from([None, None, ("a",), ("b",), ("a", "b")]),
)
PICK = st.integers(0, 1000)
HELD = st.tuples(st.sampled_from([True, True, True, False]), PICK)
FOREIGN = ["'paused'", "''", "'COMPLETED'"]


class Ledger(RuleBasedStateMachine):
    """Random walks through the verbs; after each step the store and the model agree."""

    kind = "sqlite"
    foreign_statuses = (*FOREIGN, "x'00'")
    spoiled = "x'ff00'"

    @initialize()
    def start(self) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.path = self.stack.enter_context(stores.begun(self.kind, folder))
        self.db = stores.database_at(self.path)
        self.model = Model()
        self.numbers = itertools.count()
        self.foreign: dict[str, Any] = {}
        self.was: dict[str, str] = {}
        self.over: dict[str, Any] = {}
        set_clock(self.stack.enter_context(pytest.MonkeyPatch.context()), self.time)
        self.backend = backend_of(self.path)
        self.backend.is_alive = lambda run: run != "worker:dead"
        for policy, lasts in (("fail", 11), ("run", None), ("wait", 30)):
            self.submit([0], 1, "a", 3, policy, (5, 2), (0, None), lasts)
        self.submit_some([(n % 2, "ab"[n % 2], n) for n in (4, 1, 3, 4, 2)], False)

    def teardown(self) -> None:
        self.stack.close()

    # Submitting.

    @rule(
        parents=st.lists(PICK, max_size=3),
        priority=st.integers(0, 2),
        queue=st.sampled_from("aab"),
        attempts=st.integers(1, 4),
        policy=st.sampled_from(["fail", "fail", "run", "wait"]),
        limits=st.tuples(st.sampled_from([None, 5, 20]), st.sampled_from([None, 1, 2])),
        times=st.tuples(st.sampled_from([0, 0, 7]), st.sampled_from([None, None, 10])),
        lasts=st.sampled_from([None, None, 11, 30]),
    )
    def submit(
        self,
        parents: list[int],
        priority: int,
        queue: str,
        attempts: int,
        policy: str,
        limits: tuple[int | None, int | None],
        times: tuple[int, int | None],
        lasts: int | None = None,
    ) -> None:
        known, number = list(self.model.jobs), next(self.numbers)
        ids = list(dict.fromkeys(known[n % len(known)] for n in parents)) if known else []
        due = None if times[1] is None else self.model.now + times[1]
        job = ModelJob(
            f"j{number:05}", number, priority, queue, attempts, policy, ids,
            limits[0], times[0], limits[1], due,
        )  # fmt: skip
        job.expires = None if lasts is None else self.model.now + lasts
        self._insert(job)
        self._insert(job)
        self.model.submit(job)

    @rule(
        some=st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from("aab"), st.integers(1, 4)),
            min_size=3,
            max_size=6,
        ),
        awaited=st.booleans(),
    )
    def submit_some(self, some: list[tuple[int, str, int]], awaited: bool) -> None:
        """Jobs that are due at once; one of them may be waited for."""
        for priority, queue, attempts in some:
            self.submit([], priority, queue, attempts, "fail", (None, None), (0, None))
        if awaited:
            self.submit([0, len(self.model.jobs) - 1], 0, "a", 3, "fail", (None, None), (0, None))
            self.submit([2], 0, "a", 3, "fail", (None, None), (0, None))

    def _insert(self, job: ModelJob) -> None:
        row = job_row(id=job.id, priority=job.priority, max_attempts=job.max_attempts)
        row |= {"dependencies": job.parents, "on_parent_failure": job.policy, "queue": job.queue}
        row |= {"timeout": job.timeout, "retry_delay": job.retry_delay}
        row |= {"retry_policy": RetryPolicy(max_snoozes=MAX_SNOOZES).to_json()}
        row |= {"crash_limit": job.crash_limit, "retry_after": self._text(job.not_before)}
        row |= {"expires_at": self._text(job.expires)}
        row |= {"created_at": clock.after("2026-01-01T00:00:00+00:00", job.age)}
        insert(self.db, [row])

    @rule(which=PICK, column=st.sampled_from(["timeout", "params", "name"]))
    def write_a_foreign_row(self, which: int, column: str) -> None:
        id_ = f"foreign{next(self.numbers)}"
        insert(self.db, [job_row(id=id_, priority=99)])
        status = self.foreign_statuses[which % len(self.foreign_statuses)]
        self._sql(
            f"UPDATE jobs SET status = {status}, {column} = {self.spoiled} WHERE id = '{id_}'"
        )
        self.foreign[id_] = jobs.get(self.db, id_)

    # Claiming and settling.

    @rule(who=WHO)
    def claim(self, who: Claimant) -> None:
        token = f"e{next(self.numbers):05}"
        best = self.model.best(who)
        self._claimed(settle_and_claim.claim(self.db, who, token), best, token, who)

    @rule(who=WHO, most=st.sampled_from([4, 8]), sharers=st.sampled_from([1, 1, 1, 2]))
    def claim_several(self, who: Claimant, most: int, sharers: int) -> None:
        self._exchange([], [], who, (most, sharers, False))

    @rule(
        over=st.lists(st.tuples(HELD, st.sampled_from([*ENDINGS, *[COMPLETED] * 9])), max_size=5),
        unbegun=st.lists(HELD, max_size=3),
        who=st.one_of(st.none(), WHO),
        wanted=st.tuples(st.sampled_from([1, 2, 3, 8]), st.sampled_from([1, 2, 3]), st.booleans()),
    )
    def exchange(
        self,
        over: list[tuple[tuple[bool, int], ExecutionResult]],
        unbegun: list[tuple[bool, int]],
        who: Claimant | None,
        wanted: tuple[int, int, bool],
    ) -> None:
        ended = {self._held(held): ending for held, ending in over}
        back = [self._held(held) for held in unbegun]
        left = [token for token in dict.fromkeys(back) if token not in ended]
        self._exchange(list(ended.items()), left, who, wanted)

    def _exchange(
        self,
        over: list[tuple[str, ExecutionResult]],
        unbegun: list[str],
        who: Claimant | None,
        wanted: tuple[int, int, bool],
    ) -> None:
        handover = SettleBatch(
            tuple(Finished(self._claim_of(token), ending) for token, ending in over),
            tuple(map(self._claim_of, unbegun)),
        )
        expected = [self._after(token, self.model.end(token, ending)) for token, ending in over]
        expected += [self._after(token, self.model.release(token)) for token in unbegun]
        most, sharers, picky = wanted
        best = self.model.best_few(who, most, sharers, picky=picky) if who else []
        first_id = f"e{next(self.numbers):05}"
        asked = ClaimRequest(
            first_id, most, sharers, lambda row: not picky or row["timeout"] != SLOW
        )
        settled, rows, _ = settle_and_claim.exchange(self.db, handover, who, asked)

        reported = [None if one is None else (one.job_status.value, one.attempt) for one in settled]
        assert reported == expected
        assert [row["id"] for row in rows] == [job.id for job in best]
        assert [row["execution_id"] for row in rows[:1]] == [first_id] * len(rows[:1])
        for row, job in zip(rows, best, strict=True):
            self._claimed(row, job, row["execution_id"], who)
            assert row["attempts"] == job.attempts

    @rule(held=HELD)
    def release(self, held: tuple[bool, int]) -> None:
        claim = self._claim_of(self._held(held))
        expected = self._after(claim.execution_id, self.model.release(claim.execution_id))
        (settled,) = settle_and_claim.release(self.db, [(claim.execution_id, claim.job_id)])

        assert (settled and (settled.job_status.value, settled.attempt)) == expected

    @rule(which=PICK, ending=st.sampled_from(ENDINGS))
    def settle(self, which: int, ending: ExecutionResult) -> None:
        token = self._token(which)
        settled = settle_and_claim.settle(self.db, token, ending)
        expected = self._after(token, self.model.end(token, ending))

        assert (settled and (settled.job_status.value, settled.attempt)) == expected

    @precondition(lambda self: self.model.executions)
    @rule(who=WHO, which=PICK)
    def claim_under_a_used_id(self, who: Claimant, which: int) -> None:
        used = list(self.model.executions)
        best, token = self.model.best(who), used[-1 - which % len(used)]
        settle_and_claim.claim(
            self.db, Claimant("w", who.run, ("none",)), "unused"
        )  # what is due is now
        if best is None:
            assert settle_and_claim.claim(self.db, who, token) is None
        else:
            with pytest.raises(StoreError):
                settle_and_claim.claim(self.db, who, token)

    @rule(who=WHO, which=PICK, token=PICK, fresh=st.booleans())
    def adopt(self, who: Claimant, which: int, token: int, fresh: bool) -> None:
        if not (job := self._pick(which)):
            return
        id_ = f"e{next(self.numbers):05}" if fresh else self._token(token)
        used = self.model.executions.get(id_)
        starts = job.status == "pending" and not job.waits and used is None
        goes_on = used is not None and used in self.model.open_of(job.id) and used.current
        goes_on = goes_on and job.status == "running"
        unstarted = used is not None and used in self.model.open_of(job.id)
        unstarted = unstarted and job.status == "pending" and not job.waits
        row = settle_and_claim.adopt(self.db, job.id, id_, who)

        assert (row is not None) == (starts or goes_on or unstarted)
        if starts:
            self.model.start(job, id_, who.run)
        elif row is not None and used is not None:
            job.attempts += unstarted
            job.starts += unstarted
            job.status, used.current, used.run = "running", True, who.run

    @rule(who=WHO)
    def rescue_the_overdue(self, who: Claimant) -> None:
        late = [
            e.id
            for e in self._plain()
            if (limit := self.model.jobs[e.job].timeout) is not None
            and e.started + limit + 1 <= self.model.now
        ]
        plain_worker_rescue.overdue(self.db)
        for token in late:
            self.model.end(token, TIMED_OUT)

    @rule()
    def rescue_the_lost(self) -> None:
        lost = [e.id for e in self._plain() if e.run == "worker:dead"]
        plain_worker_rescue.lost(self.db, self.backend)
        for token in lost:
            self.model.end(token, LOST)

    # What people do.

    @rule(which=PICK, running=st.sampled_from(["no", "too", "only"]))
    def cancel(self, which: int, running: str) -> None:
        if not (job := self._pick(which)):
            assert not jobs.cancel(self.db, ["nobody"], running=True)
        elif running == "no":
            assert bool(jobs.cancel(self.db, [job.id])) == self.model.cancel(job)
        elif running == "only":
            assert request_cancel(self.db, job.id) == self.model.ask(job)
        else:
            changed = jobs.cancel(self.db, [job.id], running=True).get(job.id)
            expected = JobStatus.CANCELLED if self.model.cancel(job) else None
            assert (changed and changed.status) == (
                expected or (JobStatus.RUNNING if self.model.ask(job) else None)
            )

    @rule(
        which=PICK,
        dependents=st.booleans(),
        one_more=st.booleans(),
        delay=st.sampled_from([None, None, 5]),
    )
    def requeue(self, which: int, dependents: bool, one_more: bool, delay: int | None) -> None:
        if job := self._pick(which):
            again = requeue.Again(
                one_more, lambda now: None if delay is None else clock.after(now, delay)
            )
            done = requeue.requeue(self.db, [job.id], with_dependents=dependents, again=again)
            assert set(done.jobs) == self.model.requeue(
                job, dependents=dependents, one_more=one_more, delay=delay
            )

    @rule(ago=st.sampled_from([None, 0, 30]))
    def clear(self, ago: int | None) -> None:
        before = None if ago is None else self.model.now - ago
        gone = self.model.clear(before)

        assert jobs.clear(self.db, self._text(before)) == len(gone)

    @rule(which=PICK)
    def snatch_with_foreign_sql(self, which: int) -> None:
        job = self._pick(which)
        if job and job.status == "running":
            self._sql(f"UPDATE jobs SET status = 'pending' WHERE id = '{job.id}'")
            self.model.snatch(job)

    @rule(seconds=st.sampled_from([1, 5, 10, 30, -1, -20]))
    def set_the_clock(self, seconds: int) -> None:
        self.model.now += seconds

    # What holds after each step.

    @invariant()
    def they_agree(self) -> None:
        """I1, I2, I3, I5, I6: every job is where the model has it, by a legal move."""
        if not hasattr(self, "db"):
            return
        found = {row["id"]: row for row in listing.page(self.db, limit=-1)}

        assert {id_: found.pop(id_) for id_ in self.foreign} == self.foreign
        assert found.keys() == self.model.jobs.keys()
        for id_, job in self.model.jobs.items():
            row = found[id_]
            counts = (row["attempts"], row["refunds"], row["crashes"])
            assert row["status"] == job.status
            assert counts == (job.attempts, job.refunds, job.crashes)
            # Claims forget deleted parents, which only a finished job can have.
            known = job.waits & self.model.jobs.keys()
            assert bool(known) <= (row["unmet"] > 0) <= bool(job.waits)
            assert row["retry_after"] in (None, self._text(job.not_before))
            assert row["expires_at"] == self._text(job.expires)
            assert (
                job.starts
                <= job.max_attempts + min(job.refunds, MAX_RELEASED_ATTEMPTS) + job.snatched
            )
            assert may_become(self.was.get(id_, "pending"), job.status)
            assert not {p for p in job.waits if self._is_completed(p)}
        self.was = {id_: job.status for id_, job in self.model.jobs.items()}

    @invariant()
    def the_executions_agree(self) -> None:
        """I3, I4: one row for each start, one open at most, and what is over never changes."""
        if not hasattr(self, "db"):
            return
        known = self.model.executions
        rows = {e["id"]: e for id_ in self.model.jobs for e in jobs.executions(self.db, id_)}
        open_ = {row["execution_id"] for row in settle_and_claim.open_executions(self.db)}
        asked = {row["execution_id"] for row in settle_and_claim.cancel_requests(self.db)}

        assert rows.keys() == known.keys()
        assert open_ == {e.id for e in known.values() if not e.over}
        assert asked == {e.id for e in known.values() if e.asked and not e.over}
        assert all(len(self.model.open_of(id_)) <= 1 for id_ in self.model.jobs)
        over = {id_: row for id_, row in rows.items() if id_ not in open_}
        assert {id_: over[id_] for id_ in self.over if id_ in over} == {
            id_: row for id_, row in self.over.items() if id_ in known
        }
        self.over = over

    @invariant()
    def the_tables_fit_together(self) -> None:
        """I15: counters are right, no row is left of a job that is gone, the file is whole."""
        if not hasattr(self, "db"):
            return
        edges = "EXISTS (SELECT 1 FROM job_dependencies d WHERE d.job_id = jobs.id)"
        orphans = "SELECT id FROM job_executions WHERE job_id NOT IN (SELECT id FROM jobs)"

        assert self._sql(f"SELECT id FROM jobs WHERE (unmet > 0) <> {edges}") == []
        assert self._sql(orphans) == []
        if self.db.dialect == SQLITE:
            assert self._sql("PRAGMA quick_check") == [("ok",)]

    def _claimed(
        self, row: dict[str, Any] | None, best: ModelJob | None, token: str, who: Claimant
    ) -> None:
        """I7, I8, I11: the best due job, not before its time, never one that was cancelled."""
        assert (row and row["id"]) == (best and best.id)
        if best:
            assert not best.never_again
            self.model.start(best, token, who.run)

    # Short ways.

    def time(self) -> str:
        return clock.after(BASE, self.model.now)

    def _text(self, moment: int | None) -> str | None:
        return None if moment is None else clock.after(BASE, moment)

    def _sql(self, statement: str) -> list[Any]:
        return raw_sql.run(self.db, statement)

    def _pick(self, which: int) -> ModelJob | None:
        known = list(self.model.jobs.values())
        return known[-1 - which % len(known)] if known else None

    def _token(self, which: int) -> str:
        known = [*self.model.executions, *self.model.forgotten]
        return known[-1 - which % len(known)] if known else "never used"

    def _held(self, held: tuple[bool, int]) -> str:
        """A token, most often one that is open."""
        is_open, which = held
        open_ = [e.id for e in self.model.executions.values() if not e.over]
        return open_[-1 - which % len(open_)] if is_open and open_ else self._token(which)

    def _claim_of(self, token: str) -> Claim:
        """What the worker remembers of a claim."""
        started = self.model.executions.get(token) or self.model.forgotten.get(token)
        if started is None:
            return claim(job_id="nobody", execution_id=token)
        return claim(job_id=started.job, execution_id=token, attempt=started.attempt)

    def _after(self, token: str, job: ModelJob | None) -> tuple[str, int] | None:
        """The report of an execution that was settled; nothing of one that was not."""
        return job and (job.status, job.attempts)

    def _job_of(self, token: str) -> ModelJob:
        return self.model.jobs[self.model.executions[token].job]

    def _plain(self) -> list[Any]:
        open_ = [e for e in self.model.executions.values() if not e.over]
        return sorted(
            (e for e in open_ if e.run.startswith("worker:")), key=lambda e: (e.started, e.id)
        )

    def _is_completed(self, job_id: str) -> bool:
        return job_id in self.model.jobs and self.model.jobs[job_id].status == "completed"


def may_become(old: str, new: str) -> bool:
    """Whether one verb may lead from one status to another: settling and claiming are one."""
    moves = {s.value: {t.value for t in to} for s, to in TRANSITIONS.items()}
    return new == old or any(new in moves[via] for via in {old, *moves[old]})


class LedgerOnPostgres(Ledger):
    """The same walks on PostgreSQL, whose columns hold values of their own types only."""

    kind = "postgres"
    foreign_statuses = FOREIGN
    spoiled = "'-7'"


Ledger.TestCase.settings = LedgerOnPostgres.TestCase.settings = settings(
    max_examples=int(os.environ.get("GIGQ_MODEL_EXAMPLES", settings.default.max_examples // 2)),
    stateful_step_count=int(os.environ.get("GIGQ_MODEL_STEPS", "40")),
    deadline=None,
)
TestLedger = Ledger.TestCase
TestLedgerOnPostgres = LedgerOnPostgres.TestCase
