"""What the end of a run means, for every end of the function."""

import json
import re
from contextlib import contextmanager

import pytest
from support import jobs_to_run, odd_errors
from support.claims import claim

from gigq.errors import FunctionNotFound, JobCancelled, JobStopped, JobTimeout
from gigq.execution import attempt
from gigq.execution.timer_interrupt import NoInterrupter
from gigq.model.cause import Cause
from gigq.model.job_status import JobStatus


def run(function, *, interrupter=None, limit=1000, results=None, **columns):
    return attempt.run(
        claim(**columns),
        attempt.Environment(
            load=lambda _ref: function,
            parent_results=lambda ids: {job_id: (results or {}).get(job_id) for job_id in ids},
            interrupter=interrupter or NoInterrupter(),
            result_limit=limit,
        ),
    )


def test_a_result_is_kept_as_json():
    ending = run(jobs_to_run.add, params={"a": 1, "b": 2})

    assert (ending.status, ending.value, ending.error) == (JobStatus.COMPLETED, "3", None)


def test_no_result_is_nothing():
    assert run(jobs_to_run.nothing).value is None


@pytest.mark.parametrize(
    ("function", "headline"),
    [
        (jobs_to_run.fail, "ValueError: no luck"),
        (jobs_to_run.exit_process, "SystemExit: 0"),
        (jobs_to_run.press_ctrl_c, "KeyboardInterrupt"),
        (jobs_to_run.recurse, "RecursionError: maximum recursion depth exceeded"),
        (jobs_to_run.run_out_of_memory, "MemoryError"),
        (jobs_to_run.leave_generator, "GeneratorExit"),
    ],
)
def test_nothing_that_is_raised_counts_as_success(function, headline):
    ending = run(function)

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.ERROR)
    assert ending.error.startswith(headline)


@pytest.mark.parametrize("kind", [*odd_errors.KINDS, *odd_errors.GLOBALS])
def test_an_exception_whose_attributes_raise_is_recorded_with_its_type(kind):
    ending = run(odd_errors.fail, params={"kind": kind})

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.ERROR)
    expected = kind if kind in odd_errors.KINDS else "ZeroDivisionError"
    assert expected in ending.error.partition("\n")[0]
    assert "odd_errors.py" in ending.error
    assert {type(value) for value in ending.failure} <= {str, int, type(None)}


def test_the_error_has_type_message_and_the_traceback_of_the_job_only():
    error = run(jobs_to_run.fail, params={"message": "two\nlines"}).error

    assert error.startswith("ValueError: two\nlines\n\nTraceback (most recent call last):\n")
    assert "jobs_to_run.py" in error
    assert "raise ValueError(message)" in error
    assert "execution.py" not in error


def test_the_cause_of_an_error_is_told_too():
    def chained():
        try:
            jobs_to_run.fail("first")
        except ValueError as error:
            raise RuntimeError("second") from error

    error = run(chained).error

    assert error.startswith("RuntimeError: second")
    assert "ValueError: first" in error


def test_a_very_long_error_is_shortened_in_the_middle():
    error = run(jobs_to_run.fail, params={"message": "start" + "x" * 1_000_000 + "end"}).error

    assert len(error) < 66_000
    assert error.startswith("ValueError: start")
    assert "characters left out" in error
    assert error.rstrip().endswith("end")


def test_an_error_that_cannot_be_printed_is_still_reported():
    class UnprintableError(Exception):
        def __str__(self):
            raise ZeroDivisionError

    def broken():
        raise UnprintableError

    assert "UnprintableError" in run(broken).error


def test_a_function_that_cannot_be_loaded_fails_the_attempt():
    def load(_claim):
        raise FunctionNotFound("there is no module 'm'")

    ending = attempt.run(claim(), attempt.Environment(load, lambda ids: {}, NoInterrupter()))

    assert ending.status is JobStatus.FAILED
    assert ending.error.startswith("gigq.errors.FunctionNotFound: there is no module 'm'")


@pytest.mark.parametrize(
    ("function", "params", "error"),
    [
        (jobs_to_run.give_a_set, {}, "gigq.errors.NotJson: job 'the job': the result: a set"),
        (jobs_to_run.give_text, {"length": 2000}, "gigq.errors.TooLarge: job 'the job': the res"),
    ],
)
def test_a_result_that_cannot_be_stored_fails_the_attempt_by_name(function, params, error):
    ending = run(function, params=params)

    assert ending.status is JobStatus.FAILED
    assert ending.error.startswith(error)
    assert ending.value is None


class Interrupting:
    """Raises something in the job after it has returned, or when it begins."""

    def __init__(self, error, *, at_once=False):
        self.error = error
        self.at_once = at_once

    @contextmanager
    def armed(self, claim):
        self.error.interrupting(claim.execution_id)
        if self.at_once:
            raise self.error
        yield
        raise self.error


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (JobTimeout, JobStatus.TIMEOUT, Cause.TIMEOUT),
        (JobCancelled, JobStatus.CANCELLED, Cause.CANCELLED),
        (JobStopped, JobStatus.FAILED, Cause.STOPPED),
    ],
)
def test_an_interruption_ends_the_job_as_it_says(error, status, cause, at_once):
    interrupter = Interrupting(error("in the middle"), at_once=at_once)

    ending = run(jobs_to_run.nothing, interrupter=interrupter)

    assert (ending.status, ending.cause) == (status, cause)
    assert re.match(rf"gigq.errors.{error.__name__}: in the middle\n", ending.error)


@pytest.mark.parametrize("error", [JobTimeout, JobCancelled, JobStopped])
def test_a_job_that_raises_an_interruption_itself_is_an_error(error):
    def impostor():
        raise error("on my own account")

    ending = run(impostor)

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.ERROR)


def test_an_interruption_of_another_execution_is_an_error():
    kept = JobCancelled("long ago").interrupting("another execution")

    def throw_again():
        raise kept

    ending = run(throw_again)

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.ERROR)


def wraps(error):
    try:
        raise error
    except BaseException as found:
        raise ConnectionError("lost") from found


def fails_to_clean_up(error):
    try:
        raise error
    finally:
        raise KeyError("no such lock")


def wraps_in_a_circle(error):
    outer = ValueError("outer")
    error.__context__ = outer
    outer.__context__ = error
    raise outer


@pytest.mark.parametrize("job", [wraps, fails_to_clean_up, wraps_in_a_circle])
def test_an_interruption_that_the_job_made_another_exception_of_is_still_one(job):
    error = JobTimeout("too long").interrupting("e1")

    ending = run(lambda: job(error))

    assert (ending.status, ending.cause) == (JobStatus.TIMEOUT, Cause.TIMEOUT)
    assert "JobTimeout: too long" in ending.error


def test_exceptions_in_a_circle_without_an_interruption_are_an_error():
    def circle():
        first, second = ValueError("first"), ValueError("second")
        first.__context__, second.__context__ = second, first
        raise first

    assert run(circle).cause is Cause.ERROR


def test_an_interruption_that_the_job_got_over_does_not_colour_a_later_error():
    def carry_on():
        try:
            raise JobTimeout("swallowed").interrupting("e1")
        except JobTimeout:
            seen.append("swallowed")
        raise ValueError("later")

    seen = []
    ending = run(carry_on)

    assert seen
    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.ERROR)


RESULTS = {"p2": [2], "p1": None}
GIVEN = {"p1": None, "p2": [2]}


@pytest.mark.parametrize(
    ("function", "choice", "result"),
    [
        (jobs_to_run.keyed, None, GIVEN),
        (jobs_to_run.keyed, True, GIVEN),
        (jobs_to_run.any_keywords, None, {"parent_results": GIVEN}),
        (jobs_to_run.any_keywords, False, {}),
        (jobs_to_run.no_keywords, None, "plain"),
    ],
)
def test_parent_results_go_to_functions_that_take_them(function, choice, result):
    ending = run(function, results=RESULTS, dependencies=("p1", "p2"), pass_parent_results=choice)

    assert json.loads(ending.value) == result


def test_parent_results_come_in_the_order_of_the_dependencies_and_replace_a_parameter():
    ending = run(
        jobs_to_run.keyed,
        results=RESULTS,
        dependencies=("p2", "p1"),
        params={"parent_results": "mine"},
    )

    assert list(json.loads(ending.value)) == ["p2", "p1"]


def test_without_dependencies_there_are_no_parent_results():
    ending = run(jobs_to_run.any_keywords, pass_parent_results=True)

    assert ending.value == "{}"


@pytest.mark.parametrize(
    ("function", "accepts"),
    [
        (jobs_to_run.keyed, True),
        (jobs_to_run.any_keywords, True),
        (jobs_to_run.no_keywords, False),
        (jobs_to_run.by_position, False),
        (dict.get, False),
        (type, False),
    ],
)
def test_which_functions_accept_parent_results(function, accepts):
    assert attempt.accepts_parent_results(function) is accepts


def test_the_functions_parameters_are_not_changed():
    params = {"a": 1}
    run(jobs_to_run.any_keywords, params=params, dependencies=("p1",))

    assert params == {"a": 1}


class Unhashable:
    __hash__ = None

    def __call__(self, parent_results=None):
        return parent_results


def test_parent_results_are_passed_to_what_cannot_be_hashed_too():
    child = claim(dependencies=("parent",), pass_parent_results=None)

    assert attempt.wants_parent_results(child, Unhashable())
    assert attempt.wants_parent_results(child, lambda **_: None)
    assert not attempt.wants_parent_results(child, lambda: None)
