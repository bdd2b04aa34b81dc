"""What a job can see of itself while it runs."""

import threading
import time
from itertools import pairwise

import pytest
from support import jobs_that_look
from support.claims import claim
from support.waiting import wait_until

import gigq
from gigq import Job, Worker, current_job
from gigq.execution.callbacks import Callbacks
from gigq.execution.job_context import Running
from gigq.store.sqlite.connections import open_connection
from gigq.store.verbs import settle_and_claim


def submit(queue, function, /, **options):
    return queue.submit(Job("look", function, **options))


@pytest.fixture
def started(tmp_path):
    return tmp_path / "started"


@pytest.fixture
def in_background(worker):
    """A function that has the worker run one job in a thread; the thread is joined at the end."""
    threads = []

    def work():
        worker.process_one()
        worker.close()

    def start():
        threads.append(threading.Thread(target=work))
        threads[0].start()
        return threads[0]

    yield start
    for thread in threads:
        thread.join(30)


def request_cancel(queue, job_id):
    assert queue.cancel(job_id, running=True)


def test_outside_of_a_job_there_is_none():
    assert current_job() is None


def test_a_job_sees_who_it_is_and_its_limits(queue, worker):
    job_id = submit(queue, jobs_that_look.describe, timeout=1000, max_attempts=5, queue="mail")
    worker.process_one()

    seen = queue.get_result(job_id)
    assert 900 < seen.pop("remaining") <= 1000
    (execution,) = queue.get_status(job_id)["executions"]
    assert seen == {
        "id": job_id,
        "name": "look",
        "queue": "mail",
        "attempt": 1,
        "max_attempts": 5,
        "execution_id": execution["id"],
        "stop_requested": False,
        "cancel_requested": False,
    }
    assert current_job() is None


def test_without_a_limit_no_time_remains_to_be_told(queue, worker):
    job_id = submit(queue, jobs_that_look.describe, timeout=None)
    worker.process_one()

    assert queue.get_result(job_id)["remaining"] is None


def test_coroutines_and_forks_see_the_job_and_threads_need_its_context(queue, worker):
    job_id = submit(queue, jobs_that_look.elsewhere)
    worker.process_one()

    seen = queue.get_result(job_id)
    assert seen == {"coroutine": job_id, "fork": job_id, "copied": job_id, "plain": None}


def test_jobs_at_the_same_time_see_each_themselves(queue, path, tmp_path):
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    params = {"folder": str(meeting), "parties": 3}
    ids = [submit(queue, jobs_that_look.meet, params=params) for _ in range(3)]
    worker = Worker(path, concurrency=3)
    thread = threading.Thread(target=worker.start)
    thread.start()
    wait_until(lambda: queue.stats()["completed"] == 3, 30)
    worker.stop()
    thread.join()

    assert [queue.get_result(job_id) for job_id in ids] == ids


def test_a_job_sees_that_its_worker_is_to_stop(queue, path, started):
    params = {"started": str(started), "what": "stop_requested"}
    job_id = submit(queue, jobs_that_look.until_told, params=params)
    worker = Worker(path)
    thread = threading.Thread(target=worker.start)
    thread.start()
    wait_until(started.exists)
    worker.stop()
    thread.join(30)

    assert queue.get_result(job_id) == "saw stop_requested"


def test_a_job_sees_that_it_is_cancelled_and_may_end_well_all_the_same(
    queue, in_background, started
):
    params = {"started": str(started), "what": "cancel_requested"}
    job_id = submit(queue, jobs_that_look.until_told, params=params)
    thread = in_background()
    wait_until(started.exists)
    request_cancel(queue, job_id)
    thread.join(30)

    status = queue.get_status(job_id)
    assert (status["status"], status["result"]) == ("completed", "saw cancel_requested")


def test_a_job_that_gives_up_when_it_is_cancelled_is_cancelled(queue, in_background, started):
    params = {"started": str(started)}
    job_id = submit(queue, jobs_that_look.fail_when_cancelled, params=params)
    thread = in_background()
    wait_until(started.exists)
    request_cancel(queue, job_id)
    thread.join(30)

    status = queue.get_status(job_id)
    assert (status["status"], status["attempts"]) == ("cancelled", 1)


def test_a_request_for_an_earlier_attempt_is_not_seen_by_the_next(queue, worker, path):
    job_id = submit(queue, jobs_that_look.describe)
    row = settle_and_claim.claim(queue._database, worker._runner.claimant, "e0")
    assert row["id"] == job_id
    request_cancel(queue, job_id)
    open_connection(path).execute(
        "UPDATE job_executions SET status = 'failed', completed_at = started_at"
    )
    open_connection(path).execute(
        "UPDATE jobs SET status = 'pending', execution_id = NULL, worker_id = NULL"
    )
    worker.process_one()

    assert queue.get_result(job_id)["cancel_requested"] is False


def test_however_often_a_job_asks_the_database_is_looked_at_four_times_a_second(
    queue, worker, in_background, started, tmp_path
):
    enough = tmp_path / "enough"
    looks = []
    connect = worker._get_connection

    def counted():
        if threading.current_thread() is not threading.main_thread():
            looks.append(time.monotonic())
        return connect()

    params = {"started": str(started), "enough": str(enough)}
    job_id = submit(queue, jobs_that_look.ask_often, params=params)
    worker._get_connection = counted
    thread = in_background()
    wait_until(started.exists)
    before = len(looks)
    wait_until(lambda: len(looks) >= before + 3)
    found = looks[before:]
    enough.touch()
    thread.join(30)

    assert queue.get_result(job_id) > 100
    assert all(later - earlier >= 0.24 for earlier, later in pairwise(found))


def test_a_database_that_cannot_be_asked_is_no_trouble_for_the_job(queue, worker):
    connect = worker._get_connection

    def away_while_a_job_runs():
        if current_job() is not None:
            raise gigq.StoreUnavailable("away")
        return connect()

    worker._get_connection = away_while_a_job_runs
    job_id = submit(queue, jobs_that_look.describe)
    worker.process_one()

    assert queue.get_result(job_id)["cancel_requested"] is False


def test_callbacks_may_bring_a_job_context_of_their_own(queue, path):
    class Elsewhere:
        def deadline(self, claim):
            return time.monotonic() - 5

        def stop_requested(self):
            return True

        def cancel_requested(self, claim):
            return claim.name == "look"

    worker = gigq.Worker(path, callbacks=Callbacks(job_context=Elsewhere()))
    job_id = submit(queue, jobs_that_look.describe)
    worker.process_one()

    seen = queue.get_result(job_id)
    assert (seen["remaining"], seen["stop_requested"], seen["cancel_requested"]) == (0, True, True)


def test_it_can_be_printed_without_the_parameters():
    with Running(claim(params={"password": "secret"}), _Still()):
        text = repr(current_job())

    assert "'the job'" in text
    assert "secret" not in text


class _Still:
    def deadline(self, claim):
        return None

    def stop_requested(self):
        return False

    def cancel_requested(self, claim):
        return False
