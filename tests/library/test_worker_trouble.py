"""A locked database, and what an observer is told."""

import logging
import threading

import pytest
from support import jobs_to_run
from support.waiting import wait_until
from support.write_lock import WriteLock

from gigq import Job, JobStatus, StoreUnavailable, Worker
from gigq.outcome import ExecutionResult
from gigq.store import claims


def submit(queue, function, /, **options):
    return queue.submit(Job("job", function, **options))


def test_process_one_says_that_the_database_is_locked(queue, path, worker):
    submit(queue, jobs_to_run.nothing)
    worker.work_off(lambda: False)
    worker.lock_timeout = 0.05
    lock = WriteLock(path)
    lock.take()

    try:
        with pytest.raises(StoreUnavailable, match="was locked by another connection"):
            worker.process_one()
    finally:
        lock.release()
    assert worker.process_one() is True


class LockAfterTheRun:
    """Takes the write lock when the function is over, so that the outcome cannot be stored."""

    def __init__(self, lock):
        self.lock = lock

    def claiming(self, execution_id):
        """Nothing to do."""

    started = settled = lambda *args: None

    def ended(self, claim, ending):
        if self.lock is not None:
            self.lock.take()
        return ending


@pytest.mark.parametrize("again", [lambda w: w.work_off(lambda: False), Worker.process_one])
def test_an_ending_that_the_database_did_not_take_is_settled_first_next_time(
    queue, path, worker, tmp_path, again
):
    ledger = tmp_path / "ledger"
    job_id = submit(queue, jobs_to_run.note, params={"path": str(ledger)})
    worker.lock_timeout = 0.05
    lock = WriteLock(path)
    worker.observer = LockAfterTheRun(lock)
    try:
        with pytest.raises(StoreUnavailable):
            worker.work_off(lambda: True)
    finally:
        lock.release()
    worker.observer.lock = None

    assert not again(worker)
    assert queue.get_status(job_id)["status"] == "completed"
    assert ledger.read_text() == "ran\n"


def test_the_loop_survives_a_locked_database(queue, path, caplog):
    sleeper = Worker(path, polling_interval=0.05)
    sleeper.lock_timeout = 0.05
    lock = WriteLock(path)
    job_id = submit(queue, jobs_to_run.nothing)
    lock.take()
    thread = threading.Thread(target=sleeper.start)
    with caplog.at_level(logging.ERROR, "gigq"):
        thread.start()
        try:
            wait_until(lambda: "store.unavailable" in caplog.text)
        finally:
            lock.release()
        wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
    sleeper.stop()
    thread.join(30)

    assert not thread.is_alive()


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.told = []

    def claiming(self, execution_id):
        self.told.append(("claiming", execution_id))

    def started(self, claim):
        self.told.append(("started", claim.execution_id))

    def ended(self, claim, ending):
        self.told.append(("ended", claim.execution_id))
        return ExecutionResult(JobStatus.FAILED, error="as the observer says", final=True)

    def settled(self, claim, settled):
        self.told.append(("settled", settled.execution_id))


def test_the_observer_is_told_in_order_and_its_ending_counts(queue, worker):
    job_id = submit(queue, jobs_to_run.nothing)
    worker.observer = recorder = Recorder()
    worker.work_off(lambda: True)
    execution = queue.get_status(job_id)["execution_id"]

    mine = [what for what, which in recorder.told if which == execution]
    assert mine == ["claiming", "started", "ended", "settled"]
    assert [what for what, _ in recorder.told][-2:] == ["claiming", "settled"]
    assert queue.get_status(job_id)["error"] == "as the observer says"


def test_settling_a_job_and_claiming_the_next_is_one_transaction(queue, worker, monkeypatch):
    for _ in range(5):
        submit(queue, jobs_to_run.nothing)
    exchanges = []
    exchange = claims.exchange
    monkeypatch.setattr(claims, "exchange", lambda *a: exchanges.append(a) or exchange(*a))
    worker.work_off(lambda: True)

    assert len(exchanges) == 6
