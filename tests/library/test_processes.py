"""Processes and threads that submit and work on one file at the same time."""

import multiprocessing
import threading
from collections import Counter
from pathlib import Path

from support import jobs_to_run
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker


def submit_some(path, ledger, count):
    queue = JobQueue(path)
    for number in range(count):
        queue.submit(Job(str(number), jobs_to_run.note, {"path": ledger, "text": str(number)}))


def work(path):
    Worker(path, polling_interval=0.2, concurrency=2).start()


def test_every_job_runs_once_with_any_submitter_and_any_worker(path, queue, tmp_path):
    ledger = str(tmp_path / "ledger")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(path,)) for _ in range(2)]
    submitters = [context.Process(target=submit_some, args=(path, ledger, 40)) for _ in range(2)]
    thread = threading.Thread(target=submit_some, args=(path, ledger, 40))
    for party in (*workers, *submitters, thread):
        party.start()
    for party in (*submitters, thread):
        party.join(60)
    wait_until(lambda: queue.stats()["completed"] == 120, deadline=60)
    for worker in workers:
        worker.terminate()
        worker.join(60)

    assert [worker.exitcode for worker in workers] == [0, 0]
    assert Counter(Path(ledger).read_text().split()) == {str(n): 3 for n in range(40)}
    assert {job["attempts"] for job in queue.list_jobs(limit=200)} == {1}


def test_a_worker_made_before_a_fork_works_in_the_child(path, queue):
    worker = Worker(path)
    job_id = queue.submit(Job("before", jobs_to_run.nothing))
    worker.process_one()
    run = queue.get_status(job_id)["executions"][0]["run"]
    in_child = queue.submit(Job("in the child", jobs_to_run.nothing))
    child = multiprocessing.get_context("fork").Process(target=worker.process_one)
    child.start()
    child.join(60)
    (execution,) = queue.get_status(in_child)["executions"]

    assert execution["status"] == "completed"
    assert execution["run"] != run
