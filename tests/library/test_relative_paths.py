"""A relative database path is resolved when the object is made, and never again."""

import os
import shutil

import pytest
from support import jobs_to_run

import gigq


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another folder; the working directory is the test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    yield tmp_path / "elsewhere"
    gigq.close_connections()


def test_a_queue_stays_on_its_file_when_the_working_directory_changes(elsewhere):
    queue = gigq.JobQueue("jobs.db")
    first = queue.submit(gigq.Job("first", jobs_to_run.nothing))
    os.chdir(elsewhere)
    queue.close()
    queue.submit(gigq.Job("second", jobs_to_run.nothing))

    assert queue.get_status(first)["exists"]
    assert queue.stats()["total"] == 2
    assert queue.db_path == str(elsewhere.parent / "jobs.db")
    assert list(elsewhere.iterdir()) == []


def test_a_queue_that_is_opened_late_is_that_of_the_folder_where_it_was_made(elsewhere):
    gigq.JobQueue("jobs.db").submit(gigq.Job("job", jobs_to_run.nothing))
    late = gigq.JobQueue("jobs.db", initialize=False)
    os.chdir(elsewhere)

    assert late.stats()["total"] == 1


def test_a_worker_records_the_outcome_of_a_job_that_changes_the_working_directory(elsewhere):
    queue, worker = gigq.JobQueue("jobs.db"), gigq.Worker("jobs.db")
    wanders = queue.submit(gigq.Job("wanders", os.chdir, {"path": str(elsewhere)}))
    follows = queue.submit(gigq.Job("follows", jobs_to_run.nothing))

    assert (worker.process_one(), worker.process_one()) == (True, True)
    assert queue.get_status(wanders)["status"] == queue.get_status(follows)["status"] == "completed"
    assert list(elsewhere.iterdir()) == []


def test_a_path_object_stays_one(elsewhere):
    queue = gigq.JobQueue((elsewhere / "jobs.db").relative_to(elsewhere.parent))

    assert queue.db_path == elsewhere / "jobs.db"


def test_a_relative_path_in_a_folder_that_was_deleted_is_refused_with_the_remedy(elsewhere):
    os.chdir(elsewhere)
    shutil.rmtree(elsewhere)

    with pytest.raises(gigq.StoreUnavailable, match=r"relative .* give an absolute path"):
        gigq.JobQueue("jobs.db")


class OfItsOwn(gigq.JobQueue):
    """A queue whose constructor sets the path by itself, as subclasses of GigQ 0.5.1 do."""

    def __init__(self):
        self.db_path = "jobs.db"
        self._initialize_db()


def test_the_path_that_a_subclass_sets_is_resolved_when_it_is_set(elsewhere):
    queue = OfItsOwn()
    os.chdir(elsewhere)
    queue.submit(gigq.Job("job", jobs_to_run.nothing))

    assert list(elsewhere.iterdir()) == []


def test_a_queue_is_a_context_manager_that_closes_the_connection_at_the_end(tmp_path):
    with gigq.JobQueue(tmp_path / "jobs.db") as queue:
        queue.submit(gigq.Job("job", jobs_to_run.nothing))

    assert [file.name for file in tmp_path.iterdir()] == ["jobs.db"]
    assert queue.stats()["total"] == 1
    queue.close()


def test_a_queue_and_a_worker_follow_a_path_that_is_set_anew(elsewhere):
    queue, worker = gigq.JobQueue("one.db"), gigq.Worker("one.db")
    queue.submit(gigq.Job("one", os.getpid))
    gigq.JobQueue("two.db")

    queue.db_path = worker.db_path = "two.db"
    job_id = queue.submit(gigq.Job("two", os.getpid))

    assert worker.process_one()
    assert gigq.JobQueue("two.db").get_status(job_id)["status"] == "completed"
    assert gigq.JobQueue("one.db").stats()["pending"] == 1
