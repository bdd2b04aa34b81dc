"""A locked database, and the callbacks of a worker."""

import logging
import threading

import pytest
from support import jobs_to_run
from support.waiting import wait_until
from support.write_lock import WriteLock

from gigq import Job, JobStatus, StoreUnavailable, Worker
from gigq.execution.callbacks import Callbacks
from gigq.model.execution_result import ExecutionResult
from gigq.store.verbs import settle_and_claim


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


@pytest.mark.parametrize("again", [lambda w: w.work_off(lambda: False), Worker.process_one])
def test_an_ending_that_the_database_did_not_take_is_settled_first_next_time(
    queue, path, tmp_path, again
):
    lock = WriteLock(path)
    takes = [lock.take]

    def take_the_lock(_claim, result):
        if takes:
            takes.pop()()
        return result

    worker = Worker(path, callbacks=Callbacks(finished=take_the_lock))
    ledger = tmp_path / "ledger"
    job_id = submit(queue, jobs_to_run.note, params={"path": str(ledger)})
    worker.lock_timeout = 0.05
    try:
        with pytest.raises(StoreUnavailable):
            worker.work_off(lambda: True)
    finally:
        lock.release()

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


def test_callbacks_are_called_in_order_and_their_result_counts(queue, path):
    called = []

    def finished(claim, _result):
        called.append(("finished", claim.execution_id))
        return ExecutionResult(JobStatus.FAILED, error="as the callback says", final=True)

    callbacks = Callbacks(
        started=lambda claim: called.append(("started", claim.execution_id)),
        finished=finished,
        settled=lambda _claim, settled: called.append(("settled", settled.execution_id)),
    )
    job_id = submit(queue, jobs_to_run.nothing)
    Worker(path, callbacks=callbacks).work_off(lambda: True)
    execution = queue.get_status(job_id)["execution_id"]

    assert called == [(name, execution) for name in ("started", "finished", "settled")]
    assert queue.get_status(job_id)["error"] == "as the callback says"


def test_settling_a_job_and_claiming_the_next_is_one_transaction(queue, worker, monkeypatch):
    for _ in range(5):
        submit(queue, jobs_to_run.nothing)
    exchanges = []
    real = settle_and_claim.exchange
    monkeypatch.setattr(settle_and_claim, "exchange", lambda *a: exchanges.append(a) or real(*a))
    worker.work_off(lambda: True)

    assert len(exchanges) == 6
