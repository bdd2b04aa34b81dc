"""The store against a model of a few lines, with stale execution ids kept on purpose."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.ledger import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FAILED_FOR_GOOD,
    STOPPED,
    TIMED_OUT,
    WORKER,
    job_row,
)

from gigq.outcome import MAX_REFUNDS, Ending
from gigq.status import Cause, JobStatus
from gigq.store import claims, connect, jobs, migrate
from gigq.store.database import Database

ENDINGS = [COMPLETED, FAILED, FAILED_FOR_GOOD, TIMED_OUT, STOPPED, CANCELLED]
UNFINISHED = {"pending", "running"}
NOT_COMPLETED = {*UNFINISHED, "failed", "timeout", "cancelled"}


@dataclass
class Model:
    """A job as the rules say it must be."""

    id: str
    age: int
    priority: int
    max_attempts: int
    policy: str
    parents: list[str]
    status: str = "pending"
    attempts: int = 0
    refunds: int = 0
    execution: str | None = None
    waits: set[str] = field(default_factory=set)


class Ledger(RuleBasedStateMachine):
    """Random walks through the verbs; after each step the store and the model agree."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.path = str(Path(self.folder) / "queue.db")
        self.db = Database(lambda: connect.open_connection(self.path))
        migrate.apply(self.db)
        self.jobs: dict[str, Model] = {}
        self.tokens: list[tuple[str, str]] = []
        self.numbers = itertools.count()

    def teardown(self) -> None:
        connect.close_connection(self.path)
        shutil.rmtree(self.folder)

    @rule(
        parents=st.lists(st.integers(0, 50), max_size=3),
        priority=st.integers(0, 2),
        attempts=st.integers(1, 3),
        policy=st.sampled_from(["fail", "fail", "run", "wait"]),
    )
    def submit(self, parents: list[int], priority: int, attempts: int, policy: str) -> None:
        known = list(self.jobs)
        ids = list(dict.fromkeys(known[n % len(known)] for n in parents)) if known else []
        number = next(self.numbers)
        job = Model(f"j{number}", number, priority, attempts, policy, ids)
        row = job_row(id=job.id, priority=priority, max_attempts=attempts, dependencies=ids)
        jobs.insert(self.db, [{**row, "on_parent_failure": policy}])
        self.jobs[job.id] = job
        ended = [p for p in ids if self.jobs[p].status not in {*UNFINISHED, "completed"}]
        if ended and policy == "fail":
            job.status = "failed"
            return
        job.waits = {p for p in ids if self.jobs[p].status in UNFINISHED}
        job.waits |= set(ended) if policy == "wait" else set()

    @rule()
    def claim(self) -> None:
        token = f"e{next(self.numbers)}"
        row = claims.claim(self.db, WORKER, token)
        due = [j for j in self.jobs.values() if j.status == "pending" and not j.waits]
        best = min(due, key=lambda job: (-job.priority, job.age), default=None)

        assert (row and row["id"]) == (best and best.id)
        if best:
            best.status, best.execution, best.attempts = "running", token, best.attempts + 1
            self.tokens.append((best.id, token))

    @rule(which=st.integers(0, 1000), ending=st.sampled_from(ENDINGS))
    def settle(self, which: int, ending: Ending) -> None:
        if not self.tokens:
            return
        job_id, token = self.tokens[-1 - which % len(self.tokens)]
        settled = claims.settle(self.db, token, ending)
        job = self.jobs.get(job_id)
        current = job is not None and job.status == "running" and job.execution == token

        assert (settled is not None) == current
        if job and current:
            self._end(job, ending)

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        if job := self._pick(which):
            assert jobs.cancel(self.db, job.id) == (job.status == "pending")
            if job.status == "pending":
                self._fall(job, "cancelled")

    @rule(which=st.integers(0, 50))
    def requeue(self, which: int) -> None:
        if not (job := self._pick(which)):
            return
        over = job.status in {"failed", "timeout", "cancelled"}

        assert jobs.requeue(self.db, job.id) == over
        if over:
            job.status, job.attempts, job.refunds, job.execution = "pending", 0, 0, None
            wanted = (
                UNFINISHED
                if job.policy == "run"
                else {*UNFINISHED, *["failed", "timeout", "cancelled"]}
            )
            job.waits = {p for p in job.parents if p in self.jobs and self.jobs[p].status in wanted}

    @rule()
    def clear(self) -> None:
        needed = {p for j in self.jobs.values() if j.status in UNFINISHED for p in j.parents}
        gone = {
            job.id
            for job in self.jobs.values()
            if job.status in {"completed", "cancelled"} and job.id not in needed
        }

        assert jobs.clear(self.db) == len(gone)
        self.jobs = {id_: job for id_, job in self.jobs.items() if id_ not in gone}

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "db"):
            return
        found = {row["id"]: row for row in jobs.page(self.db, limit=-1)}

        assert {id_: row["status"] for id_, row in found.items()} == {
            id_: job.status for id_, job in self.jobs.items()
        }
        for id_, job in self.jobs.items():
            assert found[id_]["attempts"] == job.attempts <= job.max_attempts
            if job.status == "pending":
                assert found[id_]["unmet"] == len(job.waits)

    @invariant()
    def the_ledger_is_sound(self) -> None:
        if not hasattr(self, "db"):
            return
        running = {j.id: j.execution for j in self.jobs.values() if j.status == "running"}
        with self.db.read() as session:
            wrong = session.connection.execute(
                "SELECT id FROM jobs WHERE unmet <> "
                "(SELECT count(*) FROM job_dependencies d WHERE d.job_id = jobs.id)"
            ).fetchall()

        assert {r["job_id"]: r["execution_id"] for r in claims.open_executions(self.db)} == running
        assert wrong == []

    def _pick(self, which: int) -> Model | None:
        known = list(self.jobs.values())
        return known[which % len(known)] if known else None

    def _end(self, job: Model, ending: Ending) -> None:
        job.execution = None
        if ending.status is JobStatus.COMPLETED:
            job.status = "completed"
            for other in self.jobs.values():
                other.waits.discard(job.id)
        elif ending.cause is Cause.STOPPED and job.max_attempts > 1 and job.refunds < MAX_REFUNDS:
            job.status, job.attempts, job.refunds = "pending", job.attempts - 1, job.refunds + 1
        elif (
            ending.status is JobStatus.CANCELLED or ending.final or job.attempts == job.max_attempts
        ):
            self._fall(job, ending.status.value)
        else:
            job.status = "pending"

    def _fall(self, job: Model, status: str) -> None:
        job.status = status
        for other in [j for j in self.jobs.values() if job.id in j.waits]:
            if other.policy != "wait":
                other.waits.discard(job.id)
            if other.policy == "fail" and other.status == "pending":
                self._fall(other, "failed")


def _is_the_last(job: Model, ending: Ending) -> bool:
    used_up = job.attempts == job.max_attempts
    return used_up or ending.final or ending.status is JobStatus.CANCELLED


Ledger.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedger = Ledger.TestCase
