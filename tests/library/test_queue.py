"""What users do with a queue."""

import multiprocessing
import threading

import pytest
from support import jobs_to_run
from support.write_lock import WriteLock

from gigq import (
    InvalidJob,
    Job,
    JobNotFound,
    JobQueue,
    JobStatus,
    StoreUnavailable,
    Worker,
    Workflow,
    events,
)
from gigq.errors import DependencyCycle, MissingParent, StoreLocked
from gigq.model.claim import Claimant
from gigq.store.sqlite.connections import open_connection
from gigq.store.verbs import settle_and_claim


def job(name="job", function=jobs_to_run.nothing, **options):
    return Job(name, function, **options)


def test_the_same_id_is_stored_once(queue):
    once = job()
    ids = {queue.submit(once), queue.submit(once)}
    once.name = "changed"
    queue.submit(once)

    assert ids == {once.id}
    assert queue.stats()["total"] == 1
    assert queue.get_status(once.id)["name"] == "job"


def test_the_limits_of_a_job_are_stored_in_bytes_and_attempts(queue):
    job_id = queue.submit(job(memory_limit="300 MB", crash_limit=None))
    plain = queue.submit(job())

    assert queue.get_status(job_id)["memory_limit"] == 300_000_000
    assert queue.get_status(job_id)["crash_limit"] is None
    assert queue.get_status(plain)["memory_limit"] is None
    assert queue.get_status(plain)["crash_limit"] == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: job(function=lambda: 1), "job 'job': a lambda has no name"),
        (lambda: job(function={}.get), "job 'job': dict.get is bound|no module"),
        (lambda: job(params={"rows": [{1}]}), r"job 'job': params\['rows'\]\[0\]: a set is not"),
        (lambda: job(params={"x": "x" * 2_000_000}), "job 'job': params: 2,000,0.. bytes of JSON"),
        (lambda: job(dependencies=["nobody"]), "depends on 'nobody', which is not stored"),
    ],
)
def test_a_job_that_cannot_be_run_is_refused_by_name_and_nothing_is_stored(queue, make, message):
    with pytest.raises(InvalidJob, match=message):
        queue.submit(make())

    assert queue.stats()["total"] == 0


def test_a_value_that_was_changed_after_the_job_was_made_is_checked_again(queue):
    changed = job()
    changed.timeout = 0

    with pytest.raises(InvalidJob, match="timeout is 0"):
        queue.submit(changed)


def test_of_several_jobs_all_are_stored_or_none(queue):
    with pytest.raises(InvalidJob, match="a set is not JSON"):
        queue.submit_many([job(), job(params={"x": {1}})])

    assert queue.stats()["total"] == 0


def test_a_workflow_is_stored_in_the_order_of_adding_with_parents_anywhere(queue):
    flow = Workflow("flow")
    child, parent = job("child"), job("parent")
    flow.add_job(child, depends_on=[parent])
    flow.add_job(parent)
    flow.add_job(parent)

    assert flow.submit_all(queue) == [child.id, parent.id]
    assert flow.job_map == {child.id: child, parent.id: parent}


def test_a_workflow_with_a_circle_is_refused_whole(queue):
    flow = Workflow("flow")
    first, second, apart = job("first"), job("second"), job("apart")
    flow.add_job(apart)
    flow.add_job(first, depends_on=[second])
    flow.add_job(second, depends_on=[first])

    with pytest.raises(DependencyCycle, match=r"first.*second|second.*first"):
        flow.submit_all(queue)
    assert queue.stats()["total"] == 0


def test_a_workflow_with_a_parent_that_is_nowhere_is_refused_whole(queue):
    flow = Workflow("flow")
    flow.add_job(job("apart"))
    flow.add_job(job("child"), depends_on=[job("never added")])

    with pytest.raises(MissingParent, match="submit the parent first, or both in one batch"):
        flow.submit_all(queue)
    assert queue.stats()["total"] == 0


def test_the_status_has_every_column_decoded_and_times_in_utc(queue, worker):
    parent = job("parent", jobs_to_run.add, params={"a": 1, "b": 2})
    child = job("child", jobs_to_run.keyed, dependencies=[parent.id], pass_parent_results=True)
    queue.submit_many([parent, child])
    worker.work_off(lambda: True)
    status = queue.get_status(child.id)

    assert status["exists"] is True
    assert (status["params"], status["dependencies"]) == ({}, [parent.id])
    assert (status["result"], status["pass_parent_results"]) == ({parent.id: 3}, True)
    assert (status["queue"], status["status"]) == ("default", "completed")
    assert [e["result"] for e in status["executions"]] == [{parent.id: 3}]
    for time in ("created_at", "updated_at", "started_at", "completed_at"):
        assert status[time].endswith("+00:00")


def test_an_unknown_job_does_not_exist(queue):
    assert queue.get_status("nobody") == {"exists": False}
    with pytest.raises(JobNotFound) as caught:
        queue.get_result("nobody")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == "there is no job 'nobody'; was it cleared?"


def test_a_result_is_none_until_the_job_is_completed(queue, worker):
    failing = queue.submit(job(function=jobs_to_run.fail, max_attempts=1))
    fine = queue.submit(job(function=jobs_to_run.add, params={"a": 1, "b": 1}))

    assert queue.get_result(fine) is None
    worker.work_off(lambda: True)
    assert (queue.get_result(failing), queue.get_result(fine)) == (None, 2)


def test_jobs_are_listed_newest_first_by_status(queue):
    ids = [queue.submit(job(str(number))) for number in range(3)]
    queue.cancel(ids[1])

    assert [found["id"] for found in queue.list_jobs()] == ids[::-1]
    assert [found["id"] for found in queue.list_jobs(JobStatus.CANCELLED)] == [ids[1]]
    assert [found["id"] for found in queue.list_jobs("pending", limit=1)] == [ids[2]]
    with pytest.raises(ValueError, match="not a valid JobStatus"):
        queue.list_jobs("done")


def test_a_row_that_foreign_sql_spoilt_can_still_be_looked_at(queue, path):
    job_id = queue.submit(job())
    open_connection(path).execute("UPDATE jobs SET params = 'not JSON'")

    assert queue.get_status(job_id)["params"] == "not JSON"


def test_a_running_job_is_asked_to_end_only_when_that_is_meant(queue):
    seen = []
    job_id = queue.submit(job())
    settle_and_claim.claim(queue._database, Claimant("w", "worker:1"), "e1")
    unsubscribe = events.subscribe(lambda name, fields: seen.append((name, fields)))

    assert not queue.cancel(job_id)
    assert queue.cancel(job_id, running=True)
    assert seen == [(events.JOB_CANCEL_REQUESTED, {"job_id": job_id})]
    assert queue.get_status(job_id)["status"] == "running"
    assert queue.get_status(job_id)["executions"][0]["cancel_requested_at"]
    unsubscribe()


def test_a_pending_job_is_cancelled_at_once_whatever_else_is_meant(queue):
    job_id = queue.submit(job())

    assert queue.cancel(job_id, running=True)
    assert queue.get_status(job_id)["status"] == "cancelled"
    assert not queue.cancel(job_id, running=True)
    assert not queue.cancel("nobody", running=True)


def test_a_plain_worker_does_not_start_a_job_again_that_was_asked_to_end(queue, worker):
    job_id = queue.submit(job(function=jobs_to_run.cancels_itself, params={"path": queue.db_path}))
    worker.process_one()
    found = queue.get_status(job_id)

    assert (found["status"], found["attempts"], found["cause"]) == ("cancelled", 1, "cancelled")
    assert "ValueError: all the same" in found["error"]
    assert not worker.process_one()


def test_a_cancelled_parent_fails_its_children_and_both_can_be_requeued(queue, worker):
    parent = job("parent")
    child = job("child", dependencies=[parent.id])
    queue.submit_many([parent, child])

    assert queue.cancel(parent.id)
    assert queue.get_status(child.id)["status"] == "failed"
    assert "'parent'" in queue.get_status(child.id)["error"]
    assert queue.requeue_job(parent.id)
    assert queue.requeue_job(child.id)
    assert worker.work_off(lambda: True) == 2
    assert queue.stats()["completed"] == 2


def test_a_queue_that_was_closed_opens_again(queue):
    queue.close()

    assert queue.stats()["total"] == 0


def test_a_queue_opened_without_initialising_uses_the_one_that_is_there(queue, path):
    queue.submit(job())

    assert JobQueue(path, initialize=False).stats()["total"] == 1


def test_a_locked_database_is_waited_for_and_then_named(queue, path, tmp_path):
    locked, release = threading.Event(), threading.Event()

    def hold():
        connection = open_connection(path)
        connection.execute("BEGIN IMMEDIATE")
        locked.set()
        release.wait(30)
        connection.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(30)
    impatient = JobQueue(path, initialize=False)
    impatient.lock_timeout = 0.05
    try:
        with pytest.raises(StoreUnavailable, match=r"jobs\.db was locked .* for 0\.05 s"):
            impatient.submit(job())
    finally:
        release.set()
        holder.join()
    impatient.submit(job())

    assert queue.stats()["total"] == 1


def test_threads_submit_at_the_same_time_through_one_queue(queue):
    def submit_some():
        for _ in range(20):
            queue.submit(job())

    threads = [threading.Thread(target=submit_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert queue.stats()["pending"] == 80


def submit_in_child(queue, count):
    for _ in range(count):
        queue.submit(job())


def test_a_queue_goes_on_in_a_forked_child(queue):
    queue.submit(job())
    context = multiprocessing.get_context("fork")
    child = context.Process(target=submit_in_child, args=(queue, 5))
    child.start()
    queue.submit(job())
    child.join()

    assert child.exitcode == 0
    assert queue.stats()["pending"] == 7


def test_jobs_that_are_alike_but_for_a_value_that_is_only_equal_are_checked_each(queue):
    jobs = [Job(str(number), jobs_to_run.nothing, priority=1) for number in range(3)]
    jobs[2].priority = True

    with pytest.raises(InvalidJob, match="job '2': priority is True; give an integer"):
        queue.submit_many(jobs)
    assert queue.stats()["total"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id is empty"),
        ({"name": 5}, "name is 5"),
        ({"description": None}, "description is None"),
        ({"params": {1: 2}}, "params has the key 1"),
        ({"params": {"a": {1}}}, r"params\['a'\]: a set is not JSON"),
        ({"dependencies": [5]}, "dependencies holds 5"),
        ({"function": print, "max_attempts": 0}, "max_attempts is 0"),
    ],
)
def test_one_of_many_that_are_alike_is_checked_like_the_first(queue, change, message):
    jobs = [Job("many", jobs_to_run.nothing) for _ in range(3)]
    for name, value in change.items():
        setattr(jobs[2], name, value)

    with pytest.raises(InvalidJob, match=message):
        queue.submit_many(jobs)
    assert queue.stats()["total"] == 0


def test_a_default_stands_for_the_result_of_a_job_that_is_not_completed(queue, worker):
    waiting, done = queue.submit(job()), queue.submit(job(priority=1))
    worker.process_one()
    absent = object()

    assert queue.get_result(waiting, default=absent) is absent
    assert queue.get_result(waiting) is None
    assert queue.get_result(done, default=absent) is None
    with pytest.raises(JobNotFound):
        queue.get_result("nobody", default=absent)


def test_many_jobs_are_cancelled_and_requeued_in_one_call(queue, reported):
    many = queue.submit_many([job() for _ in range(3)])
    reported.clear()

    assert queue.cancel_many([*many, "nobody", many[0]]) == many
    assert queue.cancel_many(many) == []
    assert queue.requeue_many([*many, "nobody"]) == (
        tuple(many), {"nobody": "there is no such job"}
    )  # fmt: skip
    assert queue.requeue_many(many[:1]) == ((), {many[0]: "it is pending"})
    assert [name for name, _ in reported] == ["job.cancelled"] * 3 + ["job.requeued"] * 3


def test_a_job_whose_parent_has_failed_is_not_requeued_without_it(queue, worker, reported):
    parent = job("parent")
    child = job("child", dependencies=[parent.id])
    queue.submit_many([parent, child])
    queue.cancel(parent.id)
    reported.clear()
    reason = f"its parent 'parent' ({parent.id}) is cancelled; requeue that one with its dependents"

    assert not queue.requeue_job(child.id)
    assert queue.requeue_many([child.id]) == ((), {child.id: reason})
    assert reported[0] == ("job.requeue_refused", {"job_id": child.id, "reason": reason})
    assert queue.requeue_job(parent.id, dependents=True)
    assert worker.work_off(lambda: True) == 2


def echo(n):
    return n


def test_many_kinds_of_jobs_are_stored_as_each_was_made(queue):
    jobs = [
        Job(f"job {number}", echo, {"n": number}, number, timeout=number + 0.5)
        for number in range(2500)
    ]
    jobs[7].memory_limit, jobs[7].pass_parent_results, jobs[7].crash_limit = "2 MiB", False, None
    queue.submit_many(jobs)
    found = {row["id"]: row for row in queue.list_jobs(limit=-1)}
    plain, rich = found[jobs[8].id], found[jobs[7].id]
    columns = ("memory_limit", "pass_parent_results", "crash_limit", "function_file")

    assert [found[job.id]["priority"] for job in jobs] == list(range(2500))
    assert [found[job.id]["timeout"] for job in jobs] == [job.timeout for job in jobs]
    assert [found[job.id]["params"] for job in jobs] == [job.params for job in jobs]
    assert [plain[name] for name in columns] == [None, None, 3, None]
    assert [rich[name] for name in columns] == [2 * 2**20, False, None, None]
    assert {plain[name] for name in ("retry_after", "backoff", "unique_key")} == {None}


@pytest.mark.parametrize("kind", ["queue", "worker"])
def test_a_lock_timeout_that_is_set_after_the_first_use_counts(queue, path, kind):
    queue.submit(job())
    worker = Worker(queue)
    assert worker.process_one()
    lock = WriteLock(path)
    lock.take()
    impatient = {"queue": queue, "worker": worker}[kind]
    impatient.lock_timeout = 0.0
    try:
        with pytest.raises(StoreLocked, match="locked by another connection for 0 s"):
            queue.submit(job()) if kind == "queue" else worker.process_one()
    finally:
        lock.release()


def test_a_worker_uses_the_connections_of_the_queue_that_it_is_given(path):
    class Counting(JobQueue):
        asked = 0

        def _get_connection(self):
            self.asked += 1
            return super()._get_connection()

    queue = Counting(path)
    queue.submit(job())
    before = queue.asked

    assert Worker(queue).process_one()
    assert queue.asked > before
