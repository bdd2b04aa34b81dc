"""Each method that a subclass may override is really called, and may be called."""

import json

import pytest
from support import jobs_to_run

from gigq import Job, JobQueue, JobStatus, Worker
from gigq.store.sqlite.connections import open_connection


class Recording(Worker):
    """Note every call of an overridden method, and call the parent's."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = []

    def _get_connection(self):
        self.calls.append("connection")
        return super()._get_connection()

    def _import_function(self, module_name, function_name):
        self.calls.append(("import", module_name, function_name))
        return super()._import_function(module_name, function_name)

    def _check_for_timeouts(self):
        self.calls.append("check")
        super()._check_for_timeouts()


def test_the_connection_the_import_and_the_check_go_through_the_subclass(queue, path):
    queue.submit(Job("job", jobs_to_run.nothing))
    worker = Recording(path)

    assert worker.process_one()
    assert "connection" in worker.calls
    assert "check" in worker.calls
    assert ("import", "support.jobs_to_run", "nothing") in worker.calls


def test_a_subclass_may_supply_another_function(queue, path):
    class Substituting(Worker):
        def _import_function(self, module_name, function_name):
            return lambda: f"instead of {function_name}"

    job_id = queue.submit(Job("job", jobs_to_run.nothing))
    Substituting(path).process_one()

    assert queue.get_result(job_id) == "instead of nothing"


class Completing(Worker):
    """Notes what it completes and leaves the rest to its parent."""

    completed = ()

    def _complete_job(self, job_id, execution_id, status, result=None, error=None):
        self.completed = (*self.completed, (status, result))
        super()._complete_job(job_id, execution_id, status, result=result, error=error)


def test_complete_is_called_for_final_outcomes_and_not_for_retries(queue, path):
    queue.submit(Job("fails", jobs_to_run.fail, max_attempts=2))
    queue.submit(Job("adds", jobs_to_run.add, {"a": 1, "b": 2}))
    worker = Completing(path)

    assert worker.work_off(lambda: True) == 3
    assert sorted(worker.completed, key=str) == [
        (JobStatus.COMPLETED, 3),
        (JobStatus.FAILED, None),
    ]


@pytest.mark.parametrize(
    "job",
    [
        Job("expires", jobs_to_run.fail, retry_delay=3600, expires_in=60),
        Job("must not snooze", jobs_to_run.snooze, max_snoozes=0),
        Job("must not crash", jobs_to_run.fail, retry_by_cause={"error": "never"}),
    ],
    ids=lambda job: job.name,
)
def test_complete_is_called_for_a_job_that_is_not_tried_again_with_attempts_left(queue, path, job):
    queue.submit(job)
    worker = Completing(path)
    worker.process_one()
    found = queue.get_status(job.id)

    assert worker.completed == ((JobStatus.FAILED, None),)
    assert (found["status"], found["attempts"]) == ("failed", 1)


class CompletingWithSql(Worker):
    """Settles with statements of its own, as GigQ 0.5.1 would."""

    def _complete_job(self, job_id, execution_id, status, result=None, error=None):
        connection = self._get_connection()
        for table, key in (("jobs", job_id), ("job_executions", execution_id)):
            connection.execute(
                f"UPDATE {table} SET status = ?, result = ?, error = ? WHERE id = ?",
                (status.value, json.dumps(result), error, key),
            )
        connection.commit()


def test_dependents_of_a_job_that_was_completed_with_raw_sql_become_due(queue, path):
    parent = Job("parent", jobs_to_run.add, {"a": 1, "b": 2})
    child = Job("child", jobs_to_run.keyed, dependencies=[parent.id])
    queue.submit_many([parent, child])

    assert CompletingWithSql(path).work_off(lambda: True) == 2
    assert queue.get_result(child.id) == {parent.id: 3}


def test_dependents_of_a_job_that_was_failed_with_raw_sql_fail(queue, path):
    parent = Job("parent", jobs_to_run.fail, max_attempts=1)
    child = Job("child", jobs_to_run.nothing, dependencies=[parent.id])
    queue.submit_many([parent, child])
    CompletingWithSql(path).work_off(lambda: True)

    assert queue.get_status(child.id)["status"] == "failed"


def test_a_subclass_that_forgets_to_complete_leaves_nothing_running(queue, path):
    class Forgetful(Worker):
        def _complete_job(self, job_id, execution_id, status, result=None, error=None):
            """Forget."""

    job_id = queue.submit(Job("job", jobs_to_run.nothing))
    Forgetful(path).process_one()

    assert queue.get_status(job_id)["status"] == "completed"


@pytest.mark.parametrize("found", [True, False])
def test_a_transaction_that_a_subclass_left_open_is_ended(queue, path, found):
    class Careless(Worker):
        def _claim_job(self):
            connection = self._get_connection()
            connection.execute("BEGIN EXCLUSIVE TRANSACTION")
            row = connection.execute("SELECT * FROM jobs WHERE name = 'wanted'").fetchone()
            return dict(row) if row else None

    job_id = queue.submit(Job("wanted" if found else "other", jobs_to_run.nothing))

    assert Careless(path).process_one() is found
    assert not open_connection(path).in_transaction
    assert queue.get_status(job_id)["status"] == ("completed" if found else "pending")


def test_a_worker_whose_process_one_is_overridden_is_asked_job_by_job(queue, path):
    class Counting(Worker):
        count = 0

        def process_one(self):
            self.count += 1
            return super().process_one()

    for _ in range(3):
        queue.submit(Job("job", jobs_to_run.nothing))
    worker = Counting(path)

    assert worker.work_off(lambda: True) == 3
    assert worker.count == 4


def test_completing_by_hand_is_final(queue, path):
    worker = Worker(path)
    queue.submit(Job("job", jobs_to_run.nothing))
    row = worker._claim_job()
    worker._complete_job(row["id"], row["execution_id"], JobStatus.FAILED, error="manual")

    assert queue.get_status(row["id"])["status"] == "failed"
    assert queue.get_status(row["id"])["error"] == "manual"


def test_the_queues_own_seams_are_used(path):
    class Own(JobQueue):
        calls = ()

        def _initialize_db(self):
            self.calls = (*self.calls, "initialize")
            super()._initialize_db()

        def _get_connection(self):
            self.calls = (*self.calls, "connection")
            return super()._get_connection()

    queue = Own(path)
    queue.submit(Job("job", jobs_to_run.nothing))

    assert queue.calls[0] == "initialize"
    assert "connection" in queue.calls
