"""A function that did its work and returns what cannot be stored is not called again."""

from __future__ import annotations

import math

import pytest
from support import jobs_to_run
from support.jobs_to_run import nested

from gigq import Job, JobQueue, Worker
from gigq.errors import NotJson


@pytest.mark.parametrize(
    ("what", "remedy"),
    [
        ("datetime", "a datetime is not JSON; return its isoformat() text"),
        ("decimal", "a Decimal is not JSON; return it as text"),
        ("bytes", "a bytes is not JSON; return its decoded text"),
        ("set", "a set is not JSON; return a list"),
        ("too large", "store the data in a file or a table and return where it is"),
        ("too deep", "more than 100 levels deep; flatten it, or return where it is stored"),
        ("far too deep", "more than 100 levels deep; flatten it, or return where it is stored"),
        ("broken", "RuntimeError: no items"),
        ("many digits", "an int has too many digits; return it as hexadecimal text"),
    ],
)
def test_it_fails_for_good_at_once_and_says_what_to_return_instead(tmp_path, what, remedy):
    queue, calls = JobQueue(tmp_path / "jobs.db"), tmp_path / "calls"
    job_id = queue.submit(Job("giver", jobs_to_run.give, {"what": what, "path": str(calls)}))
    worker = Worker(tmp_path / "jobs.db")
    while worker.process_one():
        pass
    found = queue.get_status(job_id)

    assert calls.read_text() == "ran\n"
    assert (found["status"], found["attempts"], found["cause"]) == ("failed", 1, "error")
    assert remedy in found["error"]
    assert "The function has returned; it is not called again." in found["error"]


class OldWorker(Worker):
    """Returns something else than the function did, as a subclass may."""

    def _complete_job(self, job_id, execution_id, status, result=None, error=None):
        super()._complete_job(job_id, execution_id, status, result={1, 2}, error=error)


def test_a_subclass_that_completes_with_such_a_result_ends_the_job_and_works_on(tmp_path):
    queue = JobQueue(tmp_path / "jobs.db")
    ids = queue.submit_many(Job("add", jobs_to_run.add, {"a": 1, "b": 2}) for _ in range(2))
    worker = OldWorker(tmp_path / "jobs.db")

    assert [worker.process_one() for _ in range(3)] == [True, True, False]
    for job_id in ids:
        found = queue.get_status(job_id)
        assert (found["status"], found["attempts"]) == ("failed", 1)
        assert "the result: a set is not JSON; return a list" in found["error"]


def test_the_limit_of_a_plain_worker_can_be_set(tmp_path):
    queue = JobQueue(tmp_path / "jobs.db")
    job_id = queue.submit(Job("giver", jobs_to_run.give, {"what": "too large"}))
    Worker(tmp_path / "jobs.db", max_result_size=4 * 2**20).process_one()

    assert queue.get_result(job_id) == "x" * 2**21
    with pytest.raises(ValueError, match="max_result_size is 0"):
        Worker(tmp_path / "jobs.db", max_result_size=0)


def test_a_hundred_levels_are_stored_and_come_back(tmp_path):
    queue = JobQueue(tmp_path / "jobs.db")
    deep = {"a": nested(99)}
    job_id = queue.submit(Job("deep", jobs_to_run.nested, {"levels": 100}))
    echo = queue.submit(Job("deep params", jobs_to_run.count_levels, deep))
    worker = Worker(tmp_path / "jobs.db")
    while worker.process_one():
        pass

    assert queue.get_result(job_id) == nested(100)
    assert queue.get_result(echo) == 99
    assert queue.get_status(echo)["params"] == deep


@pytest.mark.parametrize("levels", [100, 400, 970, 5000])
def test_params_below_more_levels_are_refused_with_the_place_and_the_remedy(tmp_path, levels):
    queue = JobQueue(tmp_path / "jobs.db")

    with pytest.raises(NotJson, match=r"params\['a'\]\[0\].*more than 100 levels deep; flatten it"):
        queue.submit(Job("deep", jobs_to_run.count_levels, {"a": nested(levels)}))
    assert queue.stats()["total"] == 0


def test_brackets_in_texts_are_no_levels(tmp_path):
    queue = JobQueue(tmp_path / "jobs.db")
    job_id = queue.submit(Job("text", jobs_to_run.fail_with, {"text": "[{" * 1000}))

    assert queue.get_status(job_id)["params"] == {"text": "[{" * 1000}


def test_nan_and_infinities_are_stored_and_come_back_as_floats(tmp_path):
    queue = JobQueue(tmp_path / "jobs.db")
    job_id = queue.submit(Job("nan", jobs_to_run.give, {"what": "nan"}))
    echo = queue.submit(Job("add", jobs_to_run.add, {"a": math.inf, "b": -1.5}))
    worker = Worker(tmp_path / "jobs.db")
    while worker.process_one():
        pass
    result = queue.get_result(job_id)

    assert math.isnan(result["n"])
    assert result["i"] == [math.inf, -math.inf]
    assert queue.get_status(echo)["params"] == {"a": math.inf, "b": -1.5}
    assert queue.get_result(echo) == math.inf
