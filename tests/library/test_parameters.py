"""Parameters are compared with the function's signature before a job is stored."""

from __future__ import annotations

import functools
import sqlite3

import pytest

from gigq import InvalidJob, Job, Worker, Workflow, task
from gigq.errors import NotJson, WrongParameters
from gigq.model import signatures
from gigq.model.job import JOB_OPTIONS


def resize(file, width=100):
    return f"{file}: {width}"


def total(parent_results, *, start=0):
    return sum(parent_results.values(), start)


def anything(**given):
    return sorted(given)


def annotated(file: str, size: tuple[int, int] = (1, 2)) -> str | None:
    return file


def anything_of_one(one):
    return one


def by_position(file, /):
    return file


class Thumbnail:
    def __init__(self, file, width=10):
        pass


def inject(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function("a connection", *args, **kwargs)

    return call


@inject
def with_connection(connection, file):
    return f"{file} by {connection}"


class Odd:
    def __repr__(self):
        raise RuntimeError


def odd_default(value=Odd()):  # noqa: B008
    return value is not None


@task
def thumbnail(file, width=100):
    return resize(file, width)


@pytest.mark.parametrize(
    ("function", "params", "said"),
    [
        (resize, {"fil": "a"}, "no parameter 'fil'. Did you mean 'file'?"),
        (resize, {"fil": "a"}, "It needs the parameter 'file'."),
        (
            anything_of_one,
            {f"x{n}": n for n in range(9)},
            "'x0', 'x1', 'x2', 'x3', 'x4' and 4 more",
        ),
        (annotated, {}, "annotated(file: str, size: tuple[int, int] = (1, 2)) needs"),
        (resize, {}, "resize(file, width=100) needs the parameter 'file'"),
        (resize, {"file": "a", "priority": 5}, "priority is an option of the job"),
        (resize, {"file": "a", "parent_results": {}}, "no parameter 'parent_results'"),
        (total, {}, "parent_results is passed to a job with dependencies."),
        (by_position, {"file": "a"}, "remove the / from its definition, or call it in a function"),
        (by_position, {}, "takes 'file' by position only"),
        (Thumbnail, {"width": 3}, "Thumbnail(file, width=10) needs the parameter 'file'"),
    ],
)
def test_parameters_that_the_function_does_not_take_are_refused_with_its_signature(
    queue, function, params, said
):
    with pytest.raises(WrongParameters) as refused:
        queue.submit(Job("a job", function, params))

    assert str(refused.value).startswith("job 'a job': ")
    assert said in str(refused.value)
    assert queue.list_jobs() == []


@pytest.mark.parametrize(
    ("function", "params"),
    [
        (resize, {"file": "a"}),
        (anything, {"whatever": 1}),
        (Thumbnail, {"file": "a"}),
        (with_connection, {"file": "a"}),  # what a decorator adds is not known
        (max, {"x": 1}),  # C code that has no readable signature
        (odd_default, {}),
        (thumbnail, {"file": "a", "width": 3}),
    ],
)
def test_what_the_function_takes_or_what_cannot_be_known_is_stored(queue, function, params):
    assert queue.submit(Job("a job", function, params))


@pytest.mark.parametrize("submit", ["submit", "submit_many", "submit_all", "task"])
def test_every_way_to_submit_compares_them(queue, submit):
    job = Job("a job", thumbnail, {"fil": "a"})
    flow = Workflow("nightly")
    flow.add_job(job)
    ways = {
        "submit": lambda: queue.submit(job),
        "submit_many": lambda: queue.submit_many([Job("right", anything), job]),
        "submit_all": lambda: flow.submit_all(queue),
        "task": lambda: thumbnail.submit(queue, fil="a"),
    }
    with pytest.raises(InvalidJob, match=r"thumbnail\(file, width=100\) has no parameter 'fil'"):
        ways[submit]()

    assert queue.list_jobs() == []


def test_parent_results_count_as_given_to_a_job_with_dependencies(queue):
    parent = Job("parent", resize, {"file": "a"})
    child = Job("child", total, {"start": 1}, dependencies=[parent.id])

    assert len(queue.submit_many([parent, child])) == 2


@pytest.mark.parametrize(
    ("function", "passed"), [(total, False), (resize, True)], ids=["not passed", "not taken"]
)
def test_parent_results_that_are_not_passed_or_not_taken_are_refused(queue, function, passed):
    parent = queue.submit(Job("parent", resize, {"file": "a"}))
    params = {"file": "a"} if function is resize else {}
    with pytest.raises(WrongParameters, match="parent_results"):
        queue.submit(
            Job("child", function, params, dependencies=[parent], pass_parent_results=passed)
        )


def test_parameters_may_be_changed_until_the_submit(queue):
    job = Job("a job", resize)
    job.params["file"] = "a"

    assert queue.submit(job) == job.id


def test_a_program_whose_workers_call_other_functions_gets_its_jobs(queue, path):
    class Replacing(Worker):
        def _import_function(self, module_name, function_name):
            return anything

    job_id = queue.submit(Job("a job", resize, {"other": 1}))
    Replacing(path).process_one()

    assert queue.get_result(job_id) == ["other"]


def test_a_program_that_submits_for_such_workers_may_switch_the_comparison_off(queue):
    queue.compare_params = False

    assert queue.submit(Job("a job", resize, {"other": 1}))


def test_a_worker_class_with_other_changes_leaves_the_check_in_place(queue):
    class Noting(Worker):
        def stop(self):
            super().stop()

    with pytest.raises(WrongParameters):
        queue.submit(Job("a job", resize, {"other": 1}))


@pytest.mark.parametrize("value", [{1: "a"}, [{"a": {None: 1}}], ({True: 1},)])
def test_keys_that_json_would_change_are_refused_with_their_place(queue, value):
    with pytest.raises(
        NotJson, match=r"params\['given'\].*JSON makes a text of it; pass text keys"
    ):
        queue.submit(Job("a job", anything, {"given": value}))


def test_a_tuple_arrives_as_a_list(queue, path):
    job_id = queue.submit(Job("a job", thumbnail, {"file": ("a", {"b": 1}), "width": (1, 2)}))
    Worker(path).process_one()

    assert queue.get_result(job_id) == "['a', {'b': 1}]: [1, 2]"


def test_options_hold_for_one_submit(queue):
    parent = queue.submit(Job("parent", anything))
    once = thumbnail.options(
        name="once", priority=5, queue="mail", dependencies=[parent], pass_parent_results=False
    )
    stored = queue.get_status(once.submit(queue, file="a"))
    usual = queue.get_status(thumbnail.submit(queue, file="a"))

    assert (stored["name"], stored["priority"], stored["queue"]) == ("once", 5, "mail")
    assert (stored["dependencies"], stored["pass_parent_results"]) == ([parent], False)
    assert (usual["name"], usual["priority"], usual["queue"]) == ("thumbnail", 0, "default")
    assert once("b") == "b: 100"


def test_options_take_every_argument_of_a_job_but_the_function_and_its_parameters():
    import inspect

    of_a_job = set(inspect.signature(Job).parameters) - {"function", "params", "unknown"}

    assert of_a_job == JOB_OPTIONS.keys()
    with pytest.raises(
        TypeError, match=r"options\(\) got an unexpected option, prio .*; its options are crash"
    ):
        thumbnail.options(prio=5)
    assert thumbnail.options(**dict.fromkeys(of_a_job)).__wrapped__ is thumbnail.__wrapped__


def test_a_task_given_to_submit_is_refused_with_both_ways_to_write_it(queue):
    with pytest.raises(TypeError) as refused:
        queue.submit(thumbnail)

    assert "thumbnail is a task; write thumbnail.submit(queue, ...)" in str(refused.value)


@pytest.mark.parametrize(
    "given", [resize, "shop.resize", Workflow("nightly"), None, sqlite3.Connection]
)
def test_what_is_no_job_is_refused_with_what_it_is(queue, given):
    with pytest.raises(TypeError, match=r"submit\(\) takes a Job, and .* is a "):
        queue.submit(given)


@pytest.mark.parametrize("given", [Job("a job", resize), thumbnail, Workflow("nightly"), 3])
def test_what_is_no_list_of_jobs_is_refused(queue, given):
    with pytest.raises(TypeError, match=r"submit_many\(\) takes a list of jobs"):
        queue.submit_many(given)


@pytest.mark.parametrize("given", ["jobs.db", None])
def test_a_task_submitted_to_what_is_no_queue_is_refused(given):
    with pytest.raises(TypeError, match=r"write thumbnail\.submit\(JobQueue\(path\), \.\.\.\)"):
        thumbnail.submit(given, file="a")


def test_a_parameter_without_its_name_is_refused_with_the_remedy(queue):
    with pytest.raises(
        TypeError, match=r"by name, .* write resize\.submit\(queue, NAME='cat\.jpg'"
    ):
        task(resize).submit(queue, "cat.jpg")


@pytest.mark.parametrize(
    ("method", "options"),
    [("cancel_many", {}), ("requeue_many", {}), ("reschedule_many", {"delay": 5})],
)
def test_one_text_in_the_place_of_many_ids_is_refused_with_the_remedy(queue, method, options):
    with pytest.raises(TypeError, match=r"takes a list of ids, not a text; write \['01a2'\]"):
        getattr(queue, method)("01a2", **options)


def test_default_values_are_shown_in_messages_only(queue):
    queue.submit(Job("fits", odd_default, {"value": 1}))

    with pytest.raises(InvalidJob, match=r"odd_default\(\.\.\.\) has no parameter 'valu'"):
        queue.submit(Job("does not", odd_default, {"valu": 1}))


def test_what_fits_beside_the_results_of_parents_does_not_fit_without_them(queue):
    parent = queue.submit(Job("parent", anything))
    queue.submit(Job("child", total, {"start": 1}, dependencies=[parent]))

    with pytest.raises(WrongParameters, match="parent_results is passed to a job with depend"):
        queue.submit(Job("alone", total, {"start": 1}))


def with_a_long_default(file, width="x" * 100_000):
    return file


def test_a_long_signature_is_cut_in_the_message(queue):
    with pytest.raises(WrongParameters) as refused:
        queue.submit(Job("a job", with_a_long_default))

    assert len(str(refused.value)) < 1000


class Unhashable:
    __hash__ = None

    def __call__(self, file):
        return file


def test_a_callable_that_cannot_be_hashed_has_a_signature_too():
    assert signatures.of(Unhashable()).accepted == {"file"}
