"""Which values a job takes."""

import math
import os

import pytest

from gigq.errors import InvalidJob
from gigq.model.clock import parse
from gigq.model.job import Job
from gigq.model.job_checks import check, memory_limit_of


def work():
    """Do nothing."""


def test_a_job_has_the_defaults_that_gigq_0_5_1_had():
    job = Job("resize", work)

    assert (job.name, job.function, job.params, job.priority) == ("resize", work, {}, 0)
    assert (job.dependencies, job.max_attempts, job.timeout, job.description) == ([], 3, 300, "")
    assert (job.pass_parent_results, job.retry_delay) == (None, 0)
    assert (job.queue, job.on_parent_failure) == ("default", "fail")
    assert (job.memory_limit, job.crash_limit) == (None, 3)


def test_jobs_have_their_own_ids_in_the_order_of_their_making():
    ids = [Job("a", work).id for _ in range(100)]

    assert ids == sorted(set(ids))


def test_the_time_of_making_is_utc():
    assert parse(Job("a", work).created_at).utcoffset().total_seconds() == 0
    assert Job("a", work).created_at.endswith("+00:00")


def test_defaults_are_not_shared_between_jobs():
    Job("a", work).params["x"] = 1
    Job("a", work).dependencies.append("y")

    assert Job("a", work).params == {}
    assert Job("a", work).dependencies == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout is 0; give seconds above 0, or None for no limit"),
        ({"timeout": -1}, "timeout is -1"),
        ({"timeout": math.nan}, "timeout is nan"),
        ({"timeout": math.inf}, "timeout is inf"),
        ({"timeout": True}, "timeout is True"),
        ({"timeout": "30"}, "timeout is '30'"),
        ({"max_attempts": 0}, "max_attempts is 0; give an integer of at least 1"),
        ({"max_attempts": 1.5}, "max_attempts is 1.5"),
        ({"max_attempts": 2**63}, "max_attempts is"),
        ({"priority": "high"}, "priority is 'high'; give an integer of at most 63 bits"),
        ({"priority": 2**64}, "priority is"),
        ({"retry_delay": -1}, "retry_delay is -1; give seconds, 0 or more"),
        ({"retry_delay": math.inf}, "retry_delay is inf"),
        ({"retry_delay": "10m"}, "retry takes delays such as ['10m']"),
        ({"give_up_on": "OutOfStock"}, "dotted name such as 'shop.OutOfStock'"),
        ({"retry_on": ["KeyError", "print"]}, "retry_on has 'print', which is no built-in exc"),
        ({"params": [1]}, "params is a list; give a dict"),
        ({"params": {1: 2}}, "params has the key 1"),
        ({"dependencies": "abc"}, "dependencies is the text 'abc'; give a list"),
        ({"dependencies": [Job("b", work)]}, "give the ids of jobs"),
        ({"dependencies": 5}, "dependencies is 5; give a list"),
        ({"queue": ""}, "queue is empty"),
        ({"description": os.fsdecode(b"\xff.csv")}, "description is '\\udcff.csv', which holds"),
        ({"queue": None}, "queue is None; give a text"),
        ({"description": None}, "description is None"),
        ({"on_parent_failure": "ignore"}, "give one of fail, run, wait"),
        ({"memory_limit": 300}, "memory_limit is 300; give bytes, at least 1 MiB, or a text"),
        ({"memory_limit": "300"}, "memory_limit is '300'; give bytes"),
        ({"memory_limit": -1}, "memory_limit is -1"),
        ({"memory_limit": 3e8}, "memory_limit is 300000000.0"),
        ({"memory_limit": True}, "memory_limit is True"),
        ({"memory_limit": 2**63}, "memory_limit is"),
        ({"memory_limit": "9999999 TB"}, "memory_limit is '9999999 TB'"),
        ({"memory_limit": "300 Mb/s"}, '"300 Mb/s" is not a size; write one such as "64 KiB"'),
        ({"memory_limit": "lots"}, 'memory_limit: "lots" is not a size'),
        ({"crash_limit": 0}, "crash_limit is 0; give an integer of at least 1, or None"),
        ({"crash_limit": True}, "crash_limit is True"),
        ({"crash_limit": 1.5}, "crash_limit is 1.5"),
        ({"pass_parent_results": "yes"}, "pass_parent_results is 'yes'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(options, message):
    with pytest.raises(InvalidJob) as caught:
        Job("resize", work, **options)

    assert str(caught.value).startswith("job 'resize': ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": None},
        {"timeout": 0.5},
        {"retry_delay": 0.5},
        {"priority": -5},
        {"params": None},
        {"memory_limit": 2**20},
        {"memory_limit": "300 MB"},
        {"crash_limit": None},
        {"crash_limit": 1},
        {"crash_limit": 99},
    ],
)
def test_a_value_that_makes_sense_is_taken(options):
    assert isinstance(Job("resize", work, **options), Job)


@pytest.mark.parametrize(
    ("limit", "size"),
    [(None, None), (2**30, 2**30), ("300 MB", 300_000_000), ("300MiB", 300 * 2**20)],
)
def test_a_memory_limit_is_bytes_or_a_size(limit, size):
    assert memory_limit_of(Job("resize", work, memory_limit=limit)) == size


def test_a_job_shows_its_name_and_id():
    job = Job("resize", work)

    assert repr(job) == f"<Job 'resize' {job.id}>"


def test_a_job_that_was_made_to_depend_on_itself_is_refused_at_the_next_check():
    job = Job("a", work)
    job.dependencies = ["another", job.id]

    with pytest.raises(InvalidJob, match="depends on itself"):
        check(job)
