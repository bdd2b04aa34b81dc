"""What wakes an idle worker, and threads that work side by side."""

import shutil
import threading
from pathlib import Path

import pytest
from support import jobs_to_run
from support.waiting import wait_until

from gigq import Job, Worker
from gigq.store.sqlite.processes import file_watch
from gigq.store.sqlite.processes.wakeup import Listener


def submit(queue, function, /, **options):
    return queue.submit(Job("job", function, **options))


def test_a_submit_wakes_a_sleeping_worker_at_once(queue, path):
    sleeper = Worker(path, polling_interval=3600)
    thread = threading.Thread(target=sleeper.start)
    thread.start()
    ids = []
    for _ in range(3):
        ids.append(submit(queue, jobs_to_run.nothing))
        wait_until(lambda: queue.stats()["completed"] == len(ids))
    sleeper.stop()
    thread.join(30)

    assert not thread.is_alive()
    assert queue.stats()["completed"] == 3


def test_a_claimed_job_runs_although_the_look_for_further_jobs_fails(queue, path):
    aside = Path(f"{path}-aside")
    job_id = submit(queue, shutil.move, params={"src": str(aside), "dst": path}, max_attempts=1)
    worker = Worker(path)
    runner = worker._runner

    def move_the_file_away(_claim):
        shutil.move(path, aside)
        return True

    runner._callbacks = runner._callbacks._replace(may_start=move_the_file_away)
    worker.work_off(lambda: not aside.exists())

    assert queue.get_status(job_id)["status"] == "completed"


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_no_wakeup_is_lost_between_a_look_and_going_to_sleep(queue, path, count):
    sleeper = Worker(path, polling_interval=3600)
    thread = threading.Thread(target=sleeper.start)
    thread.start()
    for number in range(count):
        submit(queue, jobs_to_run.release)
        # The next submit comes while this job is settled, looked after, and slept upon.
        assert jobs_to_run.released.acquire(timeout=15), f"nothing woke it for job {number}"
        for _ in range(number % 20):
            queue.stats()
    sleeper.stop()
    thread.join(30)

    assert queue.stats()["completed"] == count


def test_two_jobs_submitted_at_once_wake_two_sleeping_workers(queue, path, tmp_path):
    sleepers = [Worker(path, polling_interval=3600) for _ in range(2)]
    threads = [threading.Thread(target=sleeper.start) for sleeper in sleepers]
    for thread in threads:
        thread.start()
    names = [str(tmp_path / name) for name in "ab"]
    for own, other in (names, names[::-1]):
        # Each job waits for the other to run: one worker alone could not finish them.
        submit(queue, jobs_to_run.meet, params={"own": own, "other": other})
    wait_until(lambda: queue.stats()["completed"] == 2)
    for sleeper, thread in zip(sleepers, threads, strict=True):
        sleeper.stop()
        thread.join(30)

    assert not any(thread.is_alive() for thread in threads)


def test_an_idle_worker_that_leaves_a_due_job_wakes_the_next_worker(queue, path, worker):
    for _ in range(2):
        submit(queue, jobs_to_run.nothing)
    listener = Listener(path)
    listener.drain()
    worker.work_off(lambda: True)

    assert listener.take()
    assert not listener.take()
    listener.close()


def test_an_idle_worker_that_takes_the_only_job_wakes_no_other(queue, path, worker):
    submit(queue, jobs_to_run.nothing)
    listener = Listener(path)
    listener.drain()
    worker.work_off(lambda: True)

    assert not listener.take()
    listener.close()


def test_a_sleeping_worker_wakes_for_a_delayed_attempt(queue, path, tmp_path):
    sleeper = Worker(path, polling_interval=3600)
    params = {"path": str(tmp_path / "calls"), "successes_after": 2}
    job_id = submit(queue, jobs_to_run.fail_until, params=params, retry_delay=0.2)
    thread = threading.Thread(target=sleeper.start)
    thread.start()
    wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
    sleeper.stop()
    thread.join(30)

    assert queue.get_status(job_id)["attempts"] == 2


def test_threads_have_their_own_names_and_run_at_the_same_time(queue, path, tmp_path):
    pool = Worker(path, worker_id="pool", concurrency=2)
    names = [str(tmp_path / name) for name in "ab"]
    ids = [
        submit(queue, jobs_to_run.meet, params={"own": own, "other": other})
        for own, other in (names, names[::-1])
    ]
    thread = threading.Thread(target=pool.start)
    thread.start()
    wait_until(lambda: queue.stats()["completed"] == 2)
    pool.stop()
    thread.join(30)

    assert not thread.is_alive()
    workers = {queue.get_status(job_id)["executions"][0]["worker_id"] for job_id in ids}
    assert workers == {"pool-0", "pool-1"}


@pytest.mark.parametrize("has_inotify", [True, False])
def test_a_job_that_no_wakeup_came_with_is_found_without_waiting_for_the_poll(
    queue, path, monkeypatch, has_inotify
):
    def refuse(*_paths):
        raise OSError("too many watches")

    if not has_inotify:
        monkeypatch.setattr(file_watch, "watch", refuse)
    monkeypatch.setattr("gigq.store.sqlite.processes.wakeup.notify", lambda *_: None)
    sleeper = Worker(path, polling_interval=3600, queues=["a"])
    thread = threading.Thread(target=sleeper.start, daemon=True)
    thread.start()
    for number in range(3):
        submit(queue, jobs_to_run.nothing, queue="a")
        wait_until(lambda done=number + 1: queue.stats()["completed"] == done)
    sleeper.stop()
    thread.join(30)

    assert queue.stats()["completed"] == 3


def test_of_two_workers_with_different_queues_each_wakes_for_its_own(queue, path):
    sleepers = [Worker(path, polling_interval=3600, queues=[name]) for name in ("a", "b")]
    threads = [threading.Thread(target=sleeper.start) for sleeper in sleepers]
    for thread in threads:
        thread.start()
    ids = []
    for number in range(10):
        ids.append(submit(queue, jobs_to_run.nothing, queue="ab"[number % 2]))
        wait_until(lambda: queue.get_status(ids[-1])["status"] == "completed")
    for sleeper in sleepers:
        sleeper.stop()
    for thread in threads:
        thread.join(30)

    assert queue.stats()["completed"] == len(ids)
