"""What the end of a run means, whatever the function does."""

import json
import re
from contextlib import contextmanager

import pytest
from support import jobs_to_run
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
    ending = run(jobs_to_run.add, params={"a": 1, "b": 2})

    assert (ending.status, ending.result, ending.error) == (JobStatus.COMPLETED, "3", None)


def test_no_result_is_nothing():
    assert run(jobs_to_run.nothing).result is None


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
        (jobs_to_run.give_a_set, {}, "gigq.errors.NotJson: job 'the job': the result: a set"),
        (jobs_to_run.give_text, {"length": 2000}, "gigq.errors.TooLarge: job 'the job': the res"),
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

    ending = run(jobs_to_run.nothing, interrupter=Impatient())

    assert (ending.status, ending.cause) == (JobStatus.TIMEOUT, Cause.TIMEOUT)
    assert re.match(r"gigq.errors.JobTimeout: Job timed out after 1 seconds\n", ending.error)


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

    assert json.loads(ending.result) == result


def test_parent_results_come_in_the_order_of_the_dependencies_and_replace_a_parameter():
    ending = run(
        jobs_to_run.keyed,
        results=RESULTS,
        dependencies=("p2", "p1"),
        params={"parent_results": "mine"},
    )

    assert list(json.loads(ending.result)) == ["p2", "p1"]


def test_without_dependencies_there_are_no_parent_results():
    ending = run(jobs_to_run.any_keywords, pass_parent_results=True)

    assert ending.result == "{}"


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
    assert execution.accepts_parent_results(function) is accepts


def test_the_functions_parameters_are_not_changed():
    params = {"a": 1}
    run(jobs_to_run.any_keywords, params=params, dependencies=("p1",))

    assert params == {"a": 1}
