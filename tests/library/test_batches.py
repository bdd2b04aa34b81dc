"""A worker that takes several short jobs at once does with each what it does with one."""

import logging
import signal
import sqlite3
import time

import pytest
from support import jobs_to_run

import gigq
from gigq import Job, current_job
from gigq.errors import StoreError
from gigq.execution import held_claims
from gigq.execution.callbacks import Callbacks
from gigq.execution.held_claims import BatchSizing
from gigq.execution.job_events import JobEvents
from gigq.model.job_status import JobStatus
from gigq.store.sqlite.connections import open_connection
from gigq.store.verbs import settle_and_claim

MANY = 200


@pytest.fixture(autouse=True)
def every_tiny_job_is_short(monkeypatch):
    """However busy the machine is; `long` alone is long."""
    monkeypatch.setattr(BatchSizing, "fits", lambda _self, row: row["function_name"] != "long")
    monkeypatch.setattr(BatchSizing, "is_short", lambda _self, claim: claim.function.name != "long")
    monkeypatch.setattr(BatchSizing, "size", lambda self, _exchange, **_: self._most)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Nothing is released because the machine stood still."""
    monkeypatch.setattr("gigq.execution.held_claims.HELD_BACK", 1e9)
    monkeypatch.setattr("gigq.execution.held_claims._STALE_AFTER", 1e9)


@pytest.fixture
def worker(worker):
    worker.most_at_once = 64
    worker.ran = []
    return worker


@pytest.fixture
def exchanges(monkeypatch):
    """How many were settled, released and claimed by each transaction."""
    seen = []
    real = settle_and_claim.exchange

    def noting(db, batch, *rest):
        done = real(db, batch, *rest)
        seen.append((len(batch.finished), len(batch.released), len(done.claimed)))
        return done

    monkeypatch.setattr(settle_and_claim, "exchange", noting)
    return seen


def submit(queue, count, function=None, **options):
    function = function or jobs_to_run.nothing
    batch = [Job(f"j{n}", function, **{"max_attempts": 5, **options}) for n in range(count)]
    return queue.submit_many(batch)


def one(queue, function, /, name="odd", **options):
    return queue.submit(Job(name, function, **{"max_attempts": 5, **options}))


def rows(queue, *ids):
    return [queue.get_status(job_id) for job_id in ids]


def describe():
    job = current_job()
    return [job.id, job.name, job.attempt, job.execution_id]


def long():
    """Long by its name only."""


def press():
    signal.raise_signal(signal.SIGINT)


def counting(worker, most):
    """A `keep_going` that has so many jobs begun in all."""
    return lambda: (worker.ran.append(1), len(worker.ran) <= most)[1]


def ids_of(path, table="job_executions"):
    return [row[0] for row in open_connection(path).execute(f"SELECT id FROM {table}").fetchall()]


def test_jobs_run_in_order_and_all_are_settled(queue, worker, tmp_path, exchanges):
    ledger = tmp_path / "ledger"
    batch = [
        Job("j", jobs_to_run.note, {"path": str(ledger), "text": str(n)}, priority=-n % 7)
        for n in range(MANY)
    ]
    ids = queue.submit_many(batch)
    done = worker.work_off(lambda: True)
    order = sorted(range(MANY), key=lambda n: (-(-n % 7), n))

    assert done == MANY
    assert ledger.read_text().split() == [str(n) for n in order]
    found = rows(queue, *ids)
    assert {(row["status"], row["attempts"], len(row["executions"])) for row in found} == {
        ("completed", 1, 1)
    }
    assert [queue.get_result(id_) for id_ in ids] == [str(n) for n in range(MANY)]
    assert exchanges == [(0, 0, 64), (64, 0, 64), (64, 0, 64), (64, 0, 8), (8, 0, 0)]


def test_each_job_sees_itself(queue, worker):
    ids = submit(queue, 20, describe)
    worker.work_off(lambda: True)
    found = rows(queue, *ids)

    assert [queue.get_result(id_) for id_ in ids] == [
        [row["id"], row["name"], 1, row["executions"][0]["id"]] for row in found
    ]
    assert len({row["executions"][0]["id"] for row in found}) == 20
    assert current_job() is None


def test_what_has_not_begun_is_handed_back_uncharged_when_the_worker_is_to_end(
    queue, worker, path, exchanges
):
    ids = submit(queue, 50)
    done = worker.work_off(counting(worker, 10))
    found = rows(queue, *ids)

    assert done == 10
    assert [row["status"] for row in found] == ["completed"] * 10 + ["pending"] * 40
    assert {(row["attempts"], row["started_at"]) for row in found[10:]} == {(0, None)}
    assert all(row["executions"] == [] for row in found[10:])
    assert exchanges == [(0, 0, 50), (10, 40, 0)]
    assert worker._runner.held == 0
    assert worker.work_off(lambda: True) == 40
    assert {row["attempts"] for row in rows(queue, *ids)} == {1}


def test_a_worker_that_is_to_end_at_once_claims_nothing(queue, worker, exchanges):
    submit(queue, 5)

    assert worker.work_off(lambda: False) == 0
    assert exchanges == []


def test_a_worker_that_is_to_hold_while_it_waits_for_its_turn_claims_nothing(
    queue, path, exchanges
):
    answers = [False, True]
    worker = gigq.Worker(path, callbacks=Callbacks(may_claim=lambda: answers[0]))
    worker.most_at_once = 64
    ids = submit(queue, 5)
    done = worker.work_off(lambda: True)
    held = rows(queue, *ids)
    del answers[0]

    assert done == 0
    assert exchanges == [(0, 0, 0)]
    assert {row["attempts"] for row in held} == {0}
    assert worker.work_off(lambda: True) == 5


def test_a_long_job_is_not_taken_along(queue, worker, exchanges):
    submit(queue, 5)
    slow = one(queue, long)
    submit(queue, 5)
    worker.work_off(lambda: True)

    assert queue.get_status(slow)["status"] == "completed"
    assert exchanges == [(0, 0, 5), (5, 0, 1), (1, 0, 5), (5, 0, 0)]


@pytest.mark.parametrize("options", [{"max_attempts": 1}, {"max_attempts": 2}])
def test_a_last_attempt_is_not_taken_along(queue, worker, exchanges, options):
    submit(queue, 5)
    one(queue, jobs_to_run.fail, **options)
    submit(queue, 5)
    worker.work_off(lambda: True)
    alone = [count for _, _, count in exchanges if count == 1]

    assert len(alone) == 1
    assert sum(count for _, _, count in exchanges) == 10 + options["max_attempts"]


def test_a_retry_in_the_middle_is_due_again_and_harms_no_other(queue, worker, tmp_path, reported):
    before = submit(queue, 10)
    params = {"path": str(tmp_path / "calls"), "successes_after": 3}
    odd = one(queue, jobs_to_run.fail_until, params=params)
    after = submit(queue, 10)
    done = worker.work_off(lambda: True)
    row = queue.get_status(odd)

    assert done == 23
    assert (row["status"], row["attempts"]) == ("completed", 3)
    assert [e["status"] for e in row["executions"]] == ["failed", "failed", "completed"]
    assert {row["attempts"] for row in rows(queue, *before, *after)} == {1}
    retries = [fields for name, fields in reported if name == "job.retrying"]
    assert [(f["job_id"], f["attempt"]) for f in retries] == [(odd, 1), (odd, 2)]


def test_a_failure_for_good_in_the_middle_takes_its_own_dependents_and_no_other(queue, worker):
    bad, other = Job("bad", jobs_to_run.fail, max_attempts=3), Job("other", jobs_to_run.nothing)
    good = Job("good", jobs_to_run.nothing)
    late = Job("late", jobs_to_run.nothing, dependencies=[bad.id, good.id])
    fine = Job("fine", jobs_to_run.nothing, dependencies=[other.id, good.id])
    queue.submit_many([other, bad, good, late, fine])
    worker.work_off(lambda: True)
    found = {row["name"]: (row["status"], row["attempts"]) for row in queue.list_jobs()}

    assert found == {
        "bad": ("failed", 3),
        "other": ("completed", 1),
        "good": ("completed", 1),
        "late": ("failed", 0),
        "fine": ("completed", 1),
    }


def test_a_timeout_in_the_middle_is_that_of_one(queue, worker, tmp_path):
    before = submit(queue, 10)
    odd = one(queue, jobs_to_run.fail, timeout=0.05, max_attempts=3)
    params = {"cleanup_path": str(tmp_path / "cleaned")}
    slow = one(queue, jobs_to_run.overrun, params=params, timeout=0.05, max_attempts=3)
    after = submit(queue, 10)
    worker.work_off(lambda: True)

    assert queue.get_status(odd)["status"] == "failed"
    assert queue.get_status(slow)["status"] == "timeout"
    assert len(queue.get_status(slow)["executions"]) == 3
    assert {row["status"] for row in rows(queue, *before, *after)} == {"completed"}


def test_ctrl_c_in_the_middle_gives_back_its_job_and_hands_back_the_rest(queue, worker, exchanges):
    before = submit(queue, 5)
    odd = one(queue, press)
    after = submit(queue, 5)
    with pytest.raises(KeyboardInterrupt):
        worker.work_off(lambda: True)

    assert [row["status"] for row in rows(queue, *before)] == ["completed"] * 5
    assert [row["status"] for row in rows(queue, odd, *after)] == ["pending"] * 6
    assert [row["attempts"] for row in rows(queue, odd, *after)] == [0] * 6
    assert [len(row["executions"]) for row in rows(queue, odd, *after)] == [1, 0, 0, 0, 0, 0]
    assert exchanges == [(0, 0, 11), (6, 5, 0)]
    assert worker._runner.held == 0


def test_while_the_database_is_locked_all_is_kept_and_settled_later(queue, worker, path):
    ids = submit(queue, 20)
    worker.lock_timeout = 0.05
    holder = sqlite3.connect(path, isolation_level=None)

    def lock_it_in_the_middle():
        worker.ran.append(1)
        if len(worker.ran) == 8:
            holder.execute("BEGIN IMMEDIATE")
        return len(worker.ran) <= 10

    with pytest.raises(StoreError):
        worker.work_off(lock_it_in_the_middle)
    held, before = worker._runner.held, [row["status"] for row in rows(queue, *ids)]
    with pytest.raises(StoreError):
        worker.work_off(lambda: False)
    still_held = worker._runner.held
    holder.execute("COMMIT")
    holder.close()
    done = worker.work_off(lambda: False)

    assert (held, still_held, worker._runner.held, done) == (20, 20, 0, 0)
    assert before == ["running"] * 20
    found = rows(queue, *ids)
    assert [row["status"] for row in found] == ["completed"] * 10 + ["pending"] * 10
    assert [row["attempts"] for row in found] == [1] * 10 + [0] * 10


def test_after_trouble_with_the_database_every_job_is_run_once(queue, worker, path, tmp_path):
    ledger = tmp_path / "ledger"
    ids = submit(queue, 30, jobs_to_run.note, params={"path": str(ledger)})
    worker.lock_timeout = 0.02
    holder = sqlite3.connect(path, isolation_level=None)
    real, worker_state = worker.work_off, {"locked": 0}

    def sometimes_locked():
        worker.ran.append(1)
        if len(worker.ran) % 7 == 0 and not holder.in_transaction:
            worker_state["locked"] += 1
            holder.execute("BEGIN IMMEDIATE")
        return len(worker.ran) % 10 != 0

    while queue.stats()["completed"] < 30:
        try:
            real(sometimes_locked)
        except StoreError:
            holder.execute("COMMIT")
    holder.close()

    assert worker_state["locked"] > 1
    assert len(ledger.read_text().splitlines()) == 30
    assert {row["attempts"] for row in rows(queue, *ids)} == {1}


def test_a_claim_that_may_have_been_handed_back_is_not_begun(queue, worker, tmp_path):
    """The database says that the commit failed, although it did not."""
    ledger = tmp_path / "ledger"
    ids = submit(queue, 6, jobs_to_run.note, params={"path": str(ledger)})
    other = gigq.Worker(worker.db_path, worker_id="other")
    real = settle_and_claim.exchange

    def settle_and_fail(*args):
        real(*args)
        raise gigq.errors.StoreUnavailable("disk I/O error")

    with pytest.MonkeyPatch.context() as patch:

        def from_the_third_on():
            worker.ran.append(1)
            if len(worker.ran) == 3:
                patch.setattr(settle_and_claim, "exchange", settle_and_fail)
            return len(worker.ran) < 3

        with pytest.raises(StoreError):
            worker.work_off(from_the_third_on)
    row = settle_and_claim.claim(queue._database, other._runner.claimant, "taken")
    worker.work_off(lambda: True)

    assert row["id"] == ids[2]
    assert len(ledger.read_text().splitlines()) == 5
    assert [row["status"] for row in rows(queue, *ids)] == [
        *("completed", "completed", "running", "completed", "completed", "completed"),
    ]


def test_an_outcome_is_held_back_no_longer_than_a_few_milliseconds(
    queue, worker, monkeypatch, exchanges
):
    monkeypatch.setattr("gigq.execution.held_claims.HELD_BACK", 0.0)
    monkeypatch.setattr("gigq.execution.held_claims._HELD_BACK_MOST", 0.0)
    submit(queue, 5)
    worker.work_off(lambda: True)

    assert held_claims.HELD_BACK <= 0.01
    assert exchanges == [(0, 0, 5), *[(1, 0, 0)] * 4, (1, 0, 0)]


def slow_exchanges(monkeypatch, seconds):
    """Have every exchange take longer than it does."""
    real = settle_and_claim.exchange

    def slow(*arguments):
        until = time.monotonic() + seconds
        done = real(*arguments)
        while time.monotonic() < until:
            pass
        return done

    monkeypatch.setattr(settle_and_claim, "exchange", slow)


def test_the_size_of_a_batch_and_the_wait_of_outcomes_follow_the_last_exchange(
    queue, worker, monkeypatch
):
    sizes, waits = [], []
    monkeypatch.setattr(
        BatchSizing, "size", lambda _self, exchange, **_: sizes.append(exchange) or 2
    )
    monkeypatch.setattr(
        held_claims.HeldClaims, "is_overdue", lambda _self, _now, exchange: waits.append(exchange)
    )
    slow_exchanges(monkeypatch, 0.02)
    submit(queue, 4)
    worker.work_off(lambda: True)

    assert sizes[0] == 0.0
    assert min(*sizes[1:], *waits) >= 0.02


def test_the_size_of_a_batch_follows_failures_in_the_last_one(queue, worker, monkeypatch):
    seen = []
    monkeypatch.setattr(
        BatchSizing, "size", lambda _self, _exchange, has_failures: seen.append(has_failures) or 2
    )
    submit(queue, 2)
    submit(queue, 1, jobs_to_run.fail, max_attempts=2)
    submit(queue, 1)
    worker.work_off(lambda: True)

    assert seen[:3] == [False, False, True]


def test_a_claim_that_has_become_old_during_a_slow_settlement_is_handed_back(
    queue, worker, monkeypatch, exchanges
):
    monkeypatch.setattr("gigq.execution.held_claims.HELD_BACK", 0.0)
    monkeypatch.setattr("gigq.execution.held_claims._HELD_BACK_MOST", 0.0)
    monkeypatch.setattr("gigq.execution.held_claims._STALE_AFTER", 0.5)
    submit(queue, 3)
    slow_exchanges(monkeypatch, 0.6)
    worker.work_off(lambda: True)

    assert exchanges[:3] == [(0, 0, 3), (1, 0, 0), (0, 2, 2)]


def test_what_is_held_is_handed_back_when_its_turn_does_not_come_soon(
    queue, worker, monkeypatch, exchanges
):
    submit(queue, 4)
    monkeypatch.setattr("gigq.execution.held_claims._STALE_AFTER", -1.0)
    worker.work_off(lambda: True)

    assert exchanges == [(0, 0, 4), (1, 3, 3), (1, 2, 2), (1, 1, 1), (1, 0, 0)]
    assert {row["attempts"] for row in queue.list_jobs()} == {1}


def test_an_urgent_job_that_comes_during_a_batch_waits_for_that_batch_only(queue, worker, tmp_path):
    ledger = tmp_path / "ledger"
    worker.most_at_once = 4
    for n in range(12):
        one(queue, jobs_to_run.note, params={"path": str(ledger), "text": str(n)})
    urgent = {"path": str(ledger), "text": "urgent"}

    def submit_meanwhile():
        worker.ran.append(1)
        if len(worker.ran) == 3:
            one(queue, jobs_to_run.note, params=urgent, priority=9)
        return True

    worker.work_off(submit_meanwhile)

    assert ledger.read_text().split().index("urgent") <= 4


def test_a_job_that_is_cancelled_before_its_turn_is_not_run_when_it_is_handed_back(queue, worker):
    ids = submit(queue, 5)

    def cancel_one():
        worker.ran.append(1)
        if len(worker.ran) == 2:
            assert queue.cancel(ids[3], running=True)
        return len(worker.ran) <= 2

    worker.work_off(cancel_one)

    assert [row["status"] for row in rows(queue, *ids)] == [
        *("completed", "completed", "pending", "cancelled", "pending"),
    ]


def test_what_another_process_has_settled_first_is_reported_and_harms_no_other(
    queue, worker, path, reported
):
    ids = submit(queue, 6)
    ending = gigq.model.execution_result.ExecutionResult(
        JobStatus.FAILED, error="taken away", final=True
    )

    def take_one_away():
        worker.ran.append(1)
        if len(worker.ran) == 5:
            token = queue.get_status(ids[1])["execution_id"]
            assert settle_and_claim.settle(queue._database, token, ending)
        return True

    worker.work_off(take_one_away)

    assert [row["status"] for row in rows(queue, *ids)] == [
        *("completed", "failed", "completed", "completed", "completed", "completed"),
    ]
    superseded = [fields["job_id"] for name, fields in reported if name == "job.superseded"]
    assert superseded == [ids[1]]


def test_a_row_that_is_no_job_fails_alone(queue, worker, path, reported):
    ids = submit(queue, 5)
    open_connection(path).execute("UPDATE jobs SET params = '{' WHERE id = ?", (ids[2],))
    worker.work_off(lambda: True)

    assert [row[0] for row in open_connection(path).execute("SELECT status FROM jobs")] == [
        *("completed", "completed", "failed", "completed", "completed"),
    ]
    assert [fields["job_id"] for name, fields in reported if name == "job.failed"] == [ids[2]]


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.soak)])
def test_rows_that_are_no_jobs_by_the_thousand_are_worked_off(queue, worker, path, count):
    ids = submit(queue, count)
    open_connection(path).execute("UPDATE jobs SET params = '{', max_attempts = 1")
    good = one(queue, jobs_to_run.nothing)

    assert worker.work_off(lambda: True) == 1
    assert queue.get_status(good)["status"] == "completed"
    counted = open_connection(path).execute("SELECT count(*) FROM jobs WHERE status = 'failed'")
    assert tuple(counted.fetchone()) == (len(ids),)


def test_good_claims_are_kept_when_a_bad_row_among_them_cannot_be_settled(queue, worker, path):
    ids = submit(queue, 5)
    open_connection(path).execute("UPDATE jobs SET params = '{' WHERE id = ?", (ids[2],))
    real, broken = settle_and_claim.settle, [True]

    def settle(*args):
        if broken:
            broken.clear()
            raise gigq.errors.StoreLocked("locked")
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settle_and_claim, "settle", settle)
        with pytest.raises(StoreError):
            worker.work_off(lambda: True)
    worker.work_off(lambda: True)
    good = [row["status"] for row in rows(queue, *ids[:2], *ids[3:])]

    assert good == ["completed"] * 4


def test_the_begin_of_each_job_is_reported_at_debug_and_its_success_at_info(queue, worker, caplog):
    submit(queue, 10)
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="gigq"):
        worker.work_off(lambda: True)
    levels = {record.event: record.levelname for record in caplog.records}

    assert levels == {"job.started": "DEBUG", "job.completed": "INFO"}
    assert [r.event for r in caplog.records].count("job.completed") == 10


def test_subscribers_are_called_for_each_job_though_the_log_has_lines_for_some(
    queue, path, reported
):
    reports = JobEvents(logging.getLogger("gigq.worker.w"), 5)
    worker = gigq.Worker(path, callbacks=Callbacks(reports=reports))
    worker.most_at_once = 64
    ids = submit(queue, 10)
    reported.clear()
    worker.work_off(lambda: True)

    assert [f["job_id"] for name, f in reported if name == "job.started"] == ids
    assert [f["job_id"] for name, f in reported if name == "job.completed"] == ids


def test_one_at_a_time_is_the_rule_unless_somebody_asks_for_more(queue, path, exchanges):
    submit(queue, 5)
    gigq.Worker(path).work_off(lambda: True)

    assert exchanges == [(0, 0, 1), *[(1, 0, 1)] * 4, (1, 0, 0)]


def test_processing_one_job_takes_one(queue, worker, exchanges):
    submit(queue, 5)
    worker.process_one()

    assert exchanges == [(0, 0, 1), (1, 0, 0)]
    assert worker._runner.held == 0


def test_a_batch_is_released_before_a_single_job_is_processed(queue, worker, path):
    ids = submit(queue, 5)
    real = settle_and_claim.exchange
    with pytest.MonkeyPatch.context() as patch:

        def fail_to_release(db, batch, claimant, request):
            if batch:
                raise gigq.errors.StoreLocked("locked")
            return real(db, batch, claimant, request)

        patch.setattr(settle_and_claim, "exchange", fail_to_release)
        with pytest.raises(StoreError):
            worker.work_off(counting(worker, 2))

    assert worker._runner.held == 5
    assert worker.process_one()
    assert worker._runner.held == 0
    assert [row["status"] for row in rows(queue, *ids)] == ["completed"] * 3 + ["pending"] * 2


class Counting(gigq.Worker):
    """A subclass that overrides a method is called for every job."""

    def _complete_job(self, *args, **kwargs):
        self.completed = [*getattr(self, "completed", []), args[0]]
        return super()._complete_job(*args, **kwargs)


def test_a_worker_with_a_seam_of_its_own_takes_one_at_a_time(queue, path, exchanges):
    ids = submit(queue, 5)
    worker = Counting(path)
    worker.most_at_once = 64
    worker.work_off(lambda: True)

    assert worker.completed == ids
    assert max(count for _, _, count in exchanges) == 1
