"""Each execution keeps since when its job was due and why then, for any history."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support import raw_sql, stores
from support.ledger import (
    COMPLETED,
    FAILED,
    FAILED_FOR_GOOD,
    STOPPED,
    WORKER,
    insert,
    job_row,
    stored,
    taken,
)
from support.set_clock import set_clock

from gigq.model import clock
from gigq.model.claim import Claim, ClaimRequest, Finished, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import jobs, requeue, reschedule, settle_and_claim

if TYPE_CHECKING:
    from support.set_clock import Clock

    from gigq.model.execution_result import ExecutionResult
    from gigq.store.database import Database

BASE = "2026-06-01T00:00:00.000000+00:00"
DELAYS = st.sampled_from([0, 5, 20])
ENDINGS = st.sampled_from([COMPLETED, FAILED, FAILED, STOPPED, FAILED_FOR_GOOD])
Due = tuple[float, str]


class Histories(RuleBasedStateMachine):
    """Jobs that wait for all reasons. `due` holds when each became due, as naive rules say.

    A job that still waits for a parent has its own earliest time in `held`.
    """

    kind = "sqlite"

    @initialize()
    def open(self) -> None:
        self.stack = ExitStack()
        self.now = 0.0
        set_clock(self.stack.enter_context(pytest.MonkeyPatch.context()), self.time)
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.db = stores.database_at(self.stack.enter_context(stores.begun(self.kind, folder)))
        self.due: dict[str, Due] = {}
        self.held: dict[str, tuple[Due, str]] = {}
        self.expected: dict[str, list[Due]] = {}
        self.running: dict[str, dict[str, Any]] = {}
        self.is_set_back = False

    def teardown(self) -> None:
        self.stack.close()

    def time(self) -> str:
        return self.at(self.now)

    def at(self, seconds: float) -> str:
        return clock.after(BASE, seconds)

    def row(self, job_id: str) -> dict[str, Any]:
        found = jobs.get(self.db, job_id)
        assert found is not None
        return found

    @rule(seconds=st.sampled_from([0, 1, 4, 30]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([3, 3600]))
    def set_the_clock_back(self, seconds: int) -> None:
        self.now -= seconds
        self.is_set_back = True

    @rule(delay=DELAYS, retry_delay=DELAYS)
    def submit(self, delay: int, retry_delay: int) -> None:
        self.add({}, delay, retry_delay)

    @precondition(lambda self: self.due or self.running)
    @rule(delay=DELAYS, data=st.data())
    def submit_child(self, delay: int, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from(sorted({*self.due, *self.running})))
        row = {"dependencies": [parent], "on_parent_failure": "run"}
        job_id = self.add(row, delay, 0)
        self.held[job_id] = (self.due.pop(job_id), parent)

    def add(self, columns: dict[str, Any], delay: int, retry_delay: int) -> str:
        due_at = self.at(self.now + delay)
        later = {"retry_after": due_at, "due_why": "delay"} if delay else {}
        numbers = {"max_attempts": 9, "crash_limit": None, "retry_delay": retry_delay}
        job_id = stored(self.db, updated_at=self.time(), **numbers, **later, **columns)
        self.due[job_id] = (self.now + delay, "delay" if delay else "submit")
        self.expected[job_id] = []
        return job_id

    @rule(most=st.sampled_from([1, 4]))
    def claim(self, most: int) -> None:
        wanted = ClaimRequest(new_id(), most=most, fits=lambda _: True)
        for row in settle_and_claim.exchange(self.db, SettleBatch(), WORKER, wanted).claimed:
            self.running[row["id"]] = row
            self.expected[row["id"]].append(self.due.pop(row["id"]))

    @precondition(lambda self: self.running)
    @rule(ending=ENDINGS, several=st.booleans(), data=st.data())
    def settle(self, ending: ExecutionResult, several: bool, data: st.DataObject) -> None:
        some = [data.draw(st.sampled_from(sorted(self.running)))]
        some = sorted(self.running) if several else some
        refunds = {job_id: self.row(job_id)["refunds"] for job_id in some}
        batch = [Finished(Claim.from_row(self.running.pop(one)), ending) for one in some]
        settle_and_claim.exchange(self.db, SettleBatch(tuple(batch)), None, None)
        for job_id in some:
            self.note_end(self.row(job_id), refunds[job_id])

    def note_end(self, row: dict[str, Any], refunds: int) -> None:
        if row["status"] != "pending":
            self.free_children(row["id"])
        elif row["refunds"] > refunds:
            self.due[row["id"]] = (self.now, "resume")
        else:
            self.due[row["id"]] = (self.now + row["retry_delay"], "retry")

    def free_children(self, parent: str) -> None:
        for child, (due, held_by) in list(self.held.items()):
            if held_by == parent:
                del self.held[child]
                self.due[child] = due if due[0] > self.now else (self.now, "parent")

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.running)))
        row = self.running.pop(job_id)
        settle_and_claim.release(self.db, [(row["execution_id"], job_id)])
        self.due[job_id] = self.expected[job_id].pop()

    @rule()
    def requeue(self) -> None:
        ended = self.expected.keys() - {*self.due, *self.running, *self.held}
        for job_id in requeue.requeue(self.db, sorted(ended)[:1]).jobs:
            self.due[job_id] = (self.now, "requeue")
            for parent in jobs.awaited_parents(self.db, job_id):
                self.held[job_id] = (self.due.pop(job_id), parent["id"])

    @precondition(lambda self: self.due or self.held)
    @rule(delay=DELAYS, data=st.data())
    def reschedule(self, delay: int, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted({*self.due, *self.held})))
        not_before = self.at(self.now + delay) if delay else None
        if job_id not in reschedule.reschedule(self.db, [job_id], lambda _: not_before).jobs:
            return
        due = (self.now + delay, "rescheduled")
        if job_id in self.held:
            self.held[job_id] = (due, self.held[job_id][1])
        else:
            self.due[job_id] = due

    @invariant()
    def no_interval_is_negative(self) -> None:
        for job_id in getattr(self, "expected", ()):
            for one in jobs.executions(self.db, job_id):
                ended = one["completed_at"] or one["started_at"]
                assert one["due_at"] <= one["started_at"] <= ended
                assert one["due_why"]

    @invariant()
    def each_became_due_when_the_rules_say(self) -> None:
        if getattr(self, "is_set_back", True):
            return
        for job_id, expected in self.expected.items():
            found = jobs.executions(self.db, job_id)
            noted = [(one["due_at"], one["due_why"]) for one in found]
            assert noted == [(self.at(due_at), why) for due_at, why in expected]
            for earlier, later in pairwise(found):
                assert earlier["completed_at"] <= later["due_at"]


class HistoriesOnPostgres(Histories):
    """The same histories on PostgreSQL."""

    kind = "postgres"


TestHistories = pytest.mark.long(pytest.mark.timeout(300)(Histories.TestCase))
TestHistories.settings = settings(
    max_examples=settings.default.max_examples * 3, stateful_step_count=40, deadline=None
)
TestHistoriesOnPostgres = HistoriesOnPostgres.TestCase
TestHistoriesOnPostgres.settings = settings(
    max_examples=settings.default.max_examples, stateful_step_count=40, deadline=None
)


def test_a_delayed_child_is_due_from_the_end_of_a_parent_that_ran_longer(
    db: Database, time: Clock
) -> None:
    time.now, its_time, end, later = (clock.after(BASE, seconds) for seconds in (0, 5, 10, 30))
    parent = stored(db)
    child = stored(db, retry_after=its_time, due_why="delay", dependencies=[parent])
    execution = taken(db)["execution_id"]
    time.now = end
    settle_and_claim.settle(db, execution, COMPLETED)
    time.now = later
    taken(db)
    (one,) = jobs.executions(db, child)

    assert (one["due_at"], one["due_why"]) == (end, "parent")


def test_a_retry_is_due_from_the_recorded_end_when_the_clock_was_set_back(
    db: Database, time: Clock
) -> None:
    earlier, start, later = (clock.after(BASE, seconds) for seconds in (0, 5, 10))
    time.now = start
    job_id = stored(db)
    execution = taken(db)["execution_id"]
    time.now = earlier
    settle_and_claim.settle(db, execution, FAILED)
    time.now = later
    taken(db)
    first, second = jobs.executions(db, job_id)

    assert first["completed_at"] == second["due_at"] == start


def test_a_row_of_another_program_is_due_at_its_claim_when_its_time_is_no_stored_one(
    db: Database, backend: str
) -> None:
    values: list[Any] = ["2026-06-01T00:00:00", "9999-01-01T00:00:00.000000+00:00", ""]
    if backend == "sqlite":
        values += [5, b"\xff"]
    ids = insert(db, [job_row() for _ in values])
    for value, job_id in zip(values, ids, strict=True):
        raw_sql.run(db, "UPDATE jobs SET updated_at = ? WHERE id = ?", value, job_id)
    wanted = ClaimRequest(new_id(), most=3, fits=lambda _: True)
    settle_and_claim.exchange(db, SettleBatch(), WORKER, wanted)
    while settle_and_claim.claim(db, WORKER, new_id()):
        pass

    for job_id in ids:
        (one,) = jobs.executions(db, job_id)
        assert (one["due_at"], one["due_why"]) == (one["started_at"], "submit")
