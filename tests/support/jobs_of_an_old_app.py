"""An application written for GigQ 0.5.1. It runs in a folder of its own and prints what it saw.

It uses nothing but the documented surface of that version, and must not be changed.
"""

# ruff: noqa: PTH123, SIM905 - written as such applications are

import json
import logging
import sys
import threading
import time

from gigq import (
    Job,
    JobQueue,
    JobStatus,
    Worker,
    Workflow,
    close_connections,
    setup_logging,
    task,
)
from gigq.db_utils import close_connection, get_connection


@task
def double(x):
    return x * 2


@task(name="sum of parents", priority=3, max_attempts=2, timeout=30, retry_delay=0)
def total(parent_results):
    return sum(parent_results.values())


@task()
def by_keyword(**kwargs):
    return sorted(kwargs)


def without_parents(x=1):
    return x


def fail():
    raise ValueError("no luck")


def fail_once(path):
    try:
        open(path).close()
    except FileNotFoundError:
        open(path, "w").close()
        raise RuntimeError("first time") from None
    return "second time"


def not_json():
    return {1, 2, 3}


def slow_square(x):
    time.sleep(0.05)
    return x * x


class LoggingWorker(Worker):
    """Overrides what the documentation says may be overridden."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = []

    def _import_function(self, module_name, function_name):
        self.calls.append(["import", function_name])
        return super()._import_function(module_name, function_name)

    def _claim_job(self):
        job = super()._claim_job()
        self.calls.append(["claim", job["name"] if job else None])
        return job

    def _complete_job(self, job_id, execution_id, status, result=None, error=None):
        self.calls.append(["complete", status.value, result])
        return super()._complete_job(job_id, execution_id, status, result=result, error=error)

    def _check_for_timeouts(self):
        self.calls.append(["check"])
        return super()._check_for_timeouts()


def drain(worker):
    done = 0
    while worker.process_one():
        done += 1
    return done


def tasks():
    queue = JobQueue("tasks.db")
    worker = Worker("tasks.db")
    first = double.submit(queue, x=2)
    plain = queue.submit(double.to_job(x=5))
    seen = {"direct": double(4), "count": drain(worker)}
    seen["results"] = [queue.get_result(first), queue.get_result(plain)]
    try:
        queue.get_result("unknown")
    except KeyError:
        seen["unknown"] = "KeyError"
    seen["unknown status"] = queue.get_status("unknown")
    worker.close()
    queue.close()
    return seen


def workflow():
    queue = JobQueue("workflow.db")
    flow = Workflow("numbers")
    parents = [flow.add_task(double, params={"x": x}) for x in (1, 2)]
    child = flow.add_task(total, depends_on=parents)
    keywords = flow.add_task(by_keyword, depends_on=parents)
    off = flow.add_task(by_keyword, depends_on=parents, pass_parent_results=False)
    plain = flow.add_job(Job("plain", without_parents, {"x": 7}), depends_on=[child])
    ids = flow.submit_all(queue)
    count = drain(Worker("workflow.db"))
    return {
        "order": ids == [job.id for job in flow.jobs] and sorted(flow.job_map) == sorted(ids),
        "count": count,
        "results": [queue.get_result(job.id) for job in (child, keywords, off, plain)],
        "priority": queue.get_status(child.id)["priority"],
        "stats": queue.stats(),
    }


def failures():
    queue = JobQueue("failures.db")
    worker = Worker("failures.db", worker_id="w1")
    failing = queue.submit(Job("failing", fail, max_attempts=2))
    flaky = queue.submit(Job("flaky", fail_once, {"path": "flag"}, retry_delay=0))
    unfit = queue.submit(Job("unfit", not_json, max_attempts=1))
    delayed = queue.submit(Job("delayed", fail, max_attempts=2, retry_delay=3600))
    seen = {"count": drain(worker)}
    status = queue.get_status(failing)
    seen["failing"] = [status["status"], status["attempts"], "no luck" in status["error"]]
    seen["executions"] = [[e["status"], e["worker_id"]] for e in status["executions"]]
    seen["worker cleared"] = status["worker_id"]
    seen["flaky"] = [queue.get_status(flaky)["status"], queue.get_result(flaky)]
    seen["unfit"] = queue.get_status(unfit)["status"]
    waiting = queue.get_status(delayed)
    seen["delayed"] = [
        waiting["status"],
        "no luck" in waiting["error"],
        bool(waiting["retry_after"]),
    ]
    seen["requeued"] = [queue.requeue_job(failing), queue.requeue_job(flaky)]
    seen["after"] = [queue.get_status(failing)[key] for key in ("status", "attempts", "error")]
    return seen


def lists():
    queue = JobQueue("lists.db")
    ids = [queue.submit(Job(f"job {n}", without_parents, priority=n)) for n in range(4)]
    seen = {"cancelled": [queue.cancel(ids[0]), queue.cancel(ids[0]), queue.cancel("unknown")]}
    seen["newest first"] = [job["name"] for job in queue.list_jobs()]
    seen["by enum"] = [job["name"] for job in queue.list_jobs(status=JobStatus.CANCELLED)]
    seen["by text"] = len(queue.list_jobs(status="pending", limit=2))
    Worker("lists.db").process_one()
    seen["highest first"] = [job["name"] for job in queue.list_jobs(JobStatus.COMPLETED)]
    seen["no executions"] = "executions" in queue.list_jobs()[0]
    seen["columns"] = all(
        key in queue.get_status(ids[3])
        for key in (
            "id name function_name function_module params priority dependencies max_attempts "
            "timeout description status created_at updated_at attempts result error started_at "
            "completed_at worker_id pass_parent_results retry_delay retry_after exists executions"
        ).split()
    )
    seen["stats"] = queue.stats()
    seen["cleared"] = queue.clear_completed()
    seen["left"] = queue.stats()["total"]
    return seen


def threads():
    queue = JobQueue("threads.db")
    ids = [queue.submit(Job("square", slow_square, {"x": x})) for x in range(12)]
    worker = Worker("threads.db", worker_id="pool", polling_interval=1, concurrency=3)
    thread = threading.Thread(target=worker.start)
    thread.start()
    while queue.stats()["completed"] < len(ids):
        time.sleep(0.02)
    worker.stop()
    thread.join()
    names = {queue.get_status(job_id)["executions"][0]["worker_id"] for job_id in ids}
    try:
        Worker("threads.db", concurrency=0)
    except ValueError:
        refused = True
    return {
        "results": [queue.get_result(job_id) for job_id in ids],
        "names": sorted(names) == ["pool-0", "pool-1", "pool-2"],
        "refused": refused,
        "current": worker.current_job_id,
    }


def overriding():
    queue = JobQueue("overriding.db")
    queue.submit(Job("fine", double, {"x": 3}))
    queue.submit(Job("failing", fail, max_attempts=2))
    worker = LoggingWorker("overriding.db")
    return {"count": drain(worker), "calls": worker.calls}


def raw_sql():
    queue = JobQueue("raw.db")
    job_id = queue.submit(Job("raw", without_parents))
    connection = get_connection("raw.db")
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    seen = [row["name"], row["status"], json.loads(row["params"])]
    close_connection("raw.db")
    close_connections()
    return seen


def refusals():
    seen = []
    for bad in (
        lambda: task(prio=1),
        lambda: task(lambda: 1),
        lambda: task(double),
        lambda: task(3),
    ):
        try:
            made = bad()
            made(fail)
        except TypeError:
            seen.append("TypeError")
    try:
        Workflow("w").add_task(fail)
    except TypeError:
        seen.append("TypeError")
    return seen


if __name__ == "__main__":
    setup_logging(logging.CRITICAL)
    parts = (tasks, workflow, failures, lists, threads, overriding, raw_sql, refusals)
    json.dump({part.__name__: part() for part in parts}, sys.stdout, indent=1, sort_keys=True)
