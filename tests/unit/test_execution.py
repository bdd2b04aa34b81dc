"""What the end of a run means, whatever the function does."""

import json
import re
from contextlib import contextmanager

import pytest
from support import sample_jobs
from support.claims import claim

from gigq import execution
from gigq.errors import FunctionNotFound, JobTimeout
from gigq.interrupt import NoInterrupter
from gigq.status import Cause, JobStatus


def run(function, *, interrupter=None, limit=1000, results=None, **columns):
    return execution.run(
        claim(**columns),
        load=lambda _claim: function,
        parent_results=lambda ids: {job_id: (results or {}).get(job_id) for job_id in ids},
        interrupter=interrupter or NoInterrupter(),
        result_limit=limit,
    )


def test_a_result_is_kept_as_json():
    ending = run(sample_jobs.add, params={"a": 1, "b": 2})

    assert (ending.status, ending.result, ending.error) == (JobStatus.COMPLETED, "3", None)


def test_no_result_is_nothing():
    assert run(sample_jobs.nothing).result is None


@pytest.mark.parametrize(
    ("function", "headline"),
    [
        (sample_jobs.fail, "ValueError: no luck"),
        (sample_jobs.exit_process, "SystemExit: 0"),
        (sample_jobs.press_ctrl_c, "KeyboardInterrupt"),
        (sample_jobs.recurse, "RecursionError: maximum recursion depth exceeded"),
        (sample_jobs.run_out_of_memory, "MemoryError"),
        (sample_jobs.leave_generator, "GeneratorExit"),
    ],
)
def test_nothing_that_is_raised_counts_as_success(function, headline):
    ending = run(function)

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.ERROR)
    assert ending.error.startswith(headline)


def test_the_error_has_type_message_and_the_traceback_of_the_job_only():
    error = run(sample_jobs.fail, params={"message": "two\nlines"}).error

    assert error.startswith("ValueError: two\nlines\n\nTraceback (most recent call last):\n")
    assert "sample_jobs.py" in error
    assert "raise ValueError(message)" in error
    assert "execution.py" not in error


def test_the_cause_of_an_error_is_told_too():
    def chained():
        try:
            sample_jobs.fail("first")
        except ValueError as error:
            raise RuntimeError("second") from error

    error = run(chained).error

    assert error.startswith("RuntimeError: second")
    assert "ValueError: first" in error


def test_a_very_long_error_is_shortened_in_the_middle():
    error = run(sample_jobs.fail, params={"message": "start" + "x" * 1_000_000 + "end"}).error

    assert len(error) < 66_000
    assert error.startswith("ValueError: start")
    assert "characters left out" in error
    assert error.rstrip().endswith("end")


def test_an_error_that_cannot_be_printed_is_still_told():
    class UnprintableError(Exception):
        def __str__(self):
            raise ZeroDivisionError

    def broken():
        raise UnprintableError

    assert "UnprintableError" in run(broken).error


def test_a_function_that_cannot_be_loaded_fails_the_attempt():
    def load(_claim):
        raise FunctionNotFound("there is no module 'm'")

    ending = execution.run(
        claim(), load=load, parent_results=lambda ids: {}, interrupter=NoInterrupter()
    )

    assert ending.status is JobStatus.FAILED
    assert ending.error.startswith("gigq.errors.FunctionNotFound: there is no module 'm'")


@pytest.mark.parametrize(
    ("function", "params", "error"),
    [
        (sample_jobs.give_a_set, {}, "gigq.errors.NotJson: job 'the job': the result: a set"),
        (sample_jobs.give_text, {"length": 2000}, "gigq.errors.TooLarge: job 'the job': the res"),
    ],
)
def test_a_result_that_cannot_be_stored_fails_the_attempt_by_name(function, params, error):
    ending = run(function, params=params)

    assert ending.status is JobStatus.FAILED
    assert ending.error.startswith(error)
    assert ending.result is None


def test_a_timeout_raised_in_the_job_is_a_timeout():
    class Impatient:
        @contextmanager
        def armed(self, claim):
            yield
            raise JobTimeout("Job timed out after 1 seconds")

    ending = run(sample_jobs.nothing, interrupter=Impatient())

    assert (ending.status, ending.cause) == (JobStatus.TIMEOUT, Cause.TIMEOUT)
    assert re.match(r"gigq.errors.JobTimeout: Job timed out after 1 seconds\n", ending.error)


RESULTS = {"p2": [2], "p1": None}
GIVEN = {"p1": None, "p2": [2]}


@pytest.mark.parametrize(
    ("function", "choice", "result"),
    [
        (sample_jobs.keyed, None, GIVEN),
        (sample_jobs.keyed, True, GIVEN),
        (sample_jobs.any_keywords, None, {"parent_results": GIVEN}),
        (sample_jobs.any_keywords, False, {}),
        (sample_jobs.no_keywords, None, "plain"),
    ],
)
def test_parent_results_go_to_functions_that_take_them(function, choice, result):
    ending = run(function, results=RESULTS, dependencies=("p1", "p2"), pass_parent_results=choice)

    assert json.loads(ending.result) == result


def test_parent_results_come_in_the_order_of_the_dependencies_and_replace_a_parameter():
    ending = run(
        sample_jobs.keyed,
        results=RESULTS,
        dependencies=("p2", "p1"),
        params={"parent_results": "mine"},
    )

    assert list(json.loads(ending.result)) == ["p2", "p1"]


def test_without_dependencies_there_are_no_parent_results():
    ending = run(sample_jobs.any_keywords, pass_parent_results=True)

    assert ending.result == "{}"


@pytest.mark.parametrize(
    ("function", "accepts"),
    [
        (sample_jobs.keyed, True),
        (sample_jobs.any_keywords, True),
        (sample_jobs.no_keywords, False),
        (sample_jobs.by_position, False),
        (dict.get, False),
        (type, False),
    ],
)
def test_which_functions_accept_parent_results(function, accepts):
    assert execution.accepts_parent_results(function) is accepts


def test_the_functions_parameters_are_not_changed():
    params = {"a": 1}
    run(sample_jobs.any_keywords, params=params, dependencies=("p1",))

    assert params == {"a": 1}
