"""The task decorator."""

import functools

import pytest

from gigq.errors import InvalidJob
from gigq.model.job import Job
from gigq.task import TaskWrapper, task


@task
def bare(x):
    """Double."""
    return x * 2


@task()
def called(queue):
    return queue


@task(
    name="named", priority=5, max_attempts=2, timeout=60, description="d", retry_delay=7,
    memory_limit="300 MB", crash_limit=1,
)  # fmt: skip
def full(x=1):
    return x


class Recorder:
    """Stands for a queue."""

    def __init__(self):
        self.jobs = []

    def submit(self, job):
        self.jobs.append(job)
        return job.id


@pytest.mark.parametrize(
    "options", [{"retry": "10m"}, {"give_up_on": "OutOfStock"}, {"timeout": 0}, {"expires_in": -1}]
)
def test_a_wrong_value_is_an_error_where_the_function_is_declared(options):
    (name,) = options
    with pytest.raises(InvalidJob, match=f"job 'bare': {name}"):
        task(**options)(bare.__wrapped__)


def test_a_task_is_still_the_function():
    assert bare(2) == 4
    assert bare(x=3) == 6
    assert bare.__wrapped__(4) == 8
    assert (bare.__name__, bare.__doc__) == ("bare", "Double.")


def test_a_job_of_a_task_holds_the_function_itself_and_the_options():
    job = full.to_job(x=9)

    assert isinstance(job, Job)
    assert job.function is full.__wrapped__
    assert (job.name, job.priority, job.max_attempts) == ("named", 5, 2)
    assert (job.timeout, job.description, job.retry_delay) == (60, "d", 7)
    assert (job.memory_limit, job.crash_limit) == ("300 MB", 1)
    assert job.params == {"x": 9}


def test_a_task_has_the_defaults_of_a_job_and_its_functions_name():
    job = bare.to_job(x=1)

    assert (job.name, job.priority, job.max_attempts) == ("bare", 0, 3)
    assert (job.timeout, job.description, job.retry_delay) == (300, "", 0)
    assert (job.memory_limit, job.crash_limit) == (None, 3)


def test_a_parameter_may_be_called_queue():
    recorder = Recorder()

    assert called.submit(recorder, queue="red") == recorder.jobs[0].id
    assert recorder.jobs[0].params == {"queue": "red"}


def test_an_unknown_option_is_refused_and_the_valid_ones_are_named():
    with pytest.raises(
        TypeError, match=r"option, prio \(did you mean 'priority'\?\); its options are .*priority"
    ):
        task(prio=1)(bare.__wrapped__)


async def coroutine():
    """Cannot be a job."""


def generator():
    """Cannot be a job."""
    yield


def nested():
    def inner():
        """Cannot be a job."""

    return inner


class Owner:
    def method(self):
        """Cannot be a job."""


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (bare, "cannot be applied twice"),
        (3, "3 is not callable"),
        (functools.partial(nested), "has none"),
        (lambda: 1, "lambda"),
        (coroutine, "async"),
        (generator, "generator"),
        (nested(), "nested"),
        (Owner.method, "method"),
    ],
)
def test_what_no_worker_could_import_and_call_is_refused(fn, reason):
    with pytest.raises(TypeError, match=reason):
        task(fn)


def test_a_task_shows_its_name_and_its_options_in_order():
    assert repr(full).startswith("<TaskWrapper 'named' (crash_limit=1, description='d', max_")
    assert isinstance(full, TaskWrapper)
