"""A queue in the memory of one process, for the tests of an application."""

import gc
import os
import resource
import sys
import threading
import warnings
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import jobs_to_run
from support.forked import in_a_child
from support.waiting import wait_until

import gigq
from gigq.errors import UnsupportedStore


@pytest.fixture
def queue():
    with gigq.JobQueue(":memory:") as queue:
        yield queue


def job(name="job", function=jobs_to_run.nothing, **options):
    return gigq.Job(name, function, **options)


def test_a_worker_on_the_queue_runs_its_jobs_and_writes_no_file(queue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parent = job(function=jobs_to_run.add, params={"a": 1, "b": 2})
    child = job("child", function=jobs_to_run.nothing, dependencies=[parent.id])
    queue.submit_many([parent, child])
    worker = gigq.Worker(queue)

    assert (worker.process_one(), worker.process_one()) == (True, True)
    assert worker.process_one() is False
    assert queue.get_result(parent.id) == 3
    assert queue.stats()["completed"] == 2
    assert list(tmp_path.iterdir()) == []


def test_each_object_has_a_database_of_its_own(queue):
    queue.submit(job())

    assert gigq.JobQueue(":memory:").stats()["total"] == 0
    assert gigq.JobQueue(":memory:", initialize=False).stats()["total"] == 0


def test_threads_share_it(queue):
    def submits():
        for _ in range(20):
            queue.submit(job())

    threads = [threading.Thread(target=submits) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert queue.stats()["total"] == 80


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_worker_that_is_started_in_a_thread_finds_new_jobs(queue, concurrency):
    worker = gigq.Worker(queue, concurrency=concurrency, polling_interval=60)
    thread = threading.Thread(target=worker.start)
    thread.start()
    try:
        ids = [queue.submit(job()) for _ in range(5)]
        wait_until(lambda: queue.stats()["completed"] == len(ids))
    finally:
        worker.stop()
        thread.join()


def test_what_was_stored_stays_when_a_thread_closes_its_connection(queue):
    queue.submit(job())
    queue.close()

    assert queue.stats()["total"] == 1


def test_a_child_process_is_refused_with_the_reason(queue):
    said = in_a_child(lambda: queue.submit(job()))

    assert said.startswith("StoreUnavailable: ")
    assert f"in the memory of process {os.getpid()}" in said


def test_a_worker_with_the_name_alone_is_refused_with_the_remedy():
    with pytest.raises(UnsupportedStore, match=r"give it the queue itself: Worker\(queue\)"):
        gigq.Worker(":memory:")


def test_a_worker_takes_a_queue_with_a_file_too(tmp_path):
    with gigq.JobQueue(tmp_path / "jobs.db") as queue:
        job_id = queue.submit(job(function=jobs_to_run.add, params={"a": 1, "b": 2}))
        worker = gigq.Worker(queue)

        assert worker.process_one()
        assert worker.db_path == tmp_path / "jobs.db"
        assert queue.get_result(job_id) == 3


def test_a_queue_without_a_path_is_refused():
    class Elsewhere(gigq.JobQueue):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match="has no db_path"):
        gigq.Worker(Elsewhere())


def test_a_worker_waits_with_more_than_a_thousand_open_files(queue):
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 1200 + len([*Path("/proc/self/fd").iterdir()])
    if most < needed:
        pytest.skip(f"only {most} files may be open")
    with ExitStack() as files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), most))
        files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, most))
        for _ in range(1100):
            files.enter_context(Path(os.devnull).open())
        worker = gigq.Worker(queue, polling_interval=0.01)
        thread = threading.Thread(target=worker.start)
        thread.start()
        job_id = queue.submit(gigq.Job("one", os.getpid))
        wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
        worker.stop()
        thread.join()


def test_a_queue_that_is_collected_as_garbage_warns_of_no_open_database(monkeypatch):
    problems = []
    monkeypatch.setattr(sys, "unraisablehook", lambda problem: problems.append(problem.exc_value))
    queue = gigq.JobQueue(":memory:")
    queue.submit(job())
    queue.itself = queue  # only the garbage collector ends it

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del queue
        gc.collect()

    assert problems == []
