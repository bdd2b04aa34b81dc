"""What went wrong with submits in other queues, from public bug reports."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

import gigq
from gigq.errors import FunctionNotImportable

APP = """
import functools
from gigq import task


def audited(function):
    @functools.wraps(function)
    def audit(*args, **kwargs):
        return ["audited", function(*args, **kwargs)]

    return audit


def without_a_name(function):
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


@task
@audited
def inside(order):
    return order


@audited
@task
def outside(order):
    return order


@without_a_name
def nameless(order):
    return order


def charge(order):
    return order


charge_with_audit = audited(charge)


@task
def send(*, name, queue="", self="", fn="", params="", options="", job=""):
    return [name, queue, self, fn, params, options, job]
"""
IN_GREENLETS = """
import gevent.monkey

gevent.monkey.patch_all()
import os, sys
import gevent, gigq

queue = gigq.JobQueue(sys.argv[1])
greenlets = [gevent.spawn(queue.submit, gigq.Job("a job", os.getpid)) for _ in range(3)]
gevent.joinall(greenlets, raise_error=True)
del greenlets
gevent.sleep(0)
print(queue.stats()["pending"])
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The module of an application whose functions are decorated."""
    name = "app_of_the_field_reports"
    (tmp_path / f"{name}.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__(name)
    del sys.modules[name]


def result_of(job_id, queue, worker):
    worker.process_one()
    job = queue.get_status(job_id)

    assert job["status"] == "completed", job["error"]
    return job["result"]


def test_parameters_may_have_the_names_that_a_queue_has_for_its_own(app, queue, worker):
    """Koed00/django-q#146: the argument `name` of a task's function was taken for the task's."""
    given = {name: name for name in ("name", "queue", "self", "fn", "params", "options", "job")}
    job_id = app.send.submit(queue, **given)

    assert result_of(job_id, queue, worker) == list(given)
    assert app.send(**given) == list(given)


def test_parameters_by_keyword_only_are_taken_and_missed(app, queue, worker):
    """celery/celery#3657: the check of arguments refused every function with such parameters."""
    job_id = app.send.submit(queue, name="Ada")

    assert result_of(job_id, queue, worker)[0] == "Ada"
    with pytest.raises(gigq.InvalidJob, match=r"needs the parameter 'name'"):
        app.send.submit(queue, queue="mail")


@pytest.mark.parametrize("name", ["inside", "outside"])
def test_a_decorated_function_runs_with_its_decorator(app, queue, worker, name):
    """rq/rq#1084: a decorated function was stored under a name that its module does not have."""
    job_id = queue.submit(gigq.Job("a job", getattr(app, name), {"order": 7}))

    assert result_of(job_id, queue, worker) == ["audited", 7]


@pytest.mark.parametrize("name", ["nameless", "charge_with_audit"])
def test_a_function_that_its_module_has_under_another_name_is_refused_and_not_mistaken(
    app, queue, name
):
    """rq/rq#248: the worker looked for the name of the function inside the decorator."""
    with pytest.raises(FunctionNotImportable, match="define it with def at the top level"):
        queue.submit(gigq.Job("a job", getattr(app, name), {"order": 7}))


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_a_greenlet_ends_without_a_complaint_while_another_process_closes_the_file(path, tmp_path):
    """benoitc/gunicorn#2586: gevent allows no waiting where it clears up behind a greenlet."""
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        done = subprocess.run(
            [sys.executable, "-c", IN_GREENLETS, path], capture_output=True, text=True
        )
    finally:
        os.close(folder)

    assert (done.stdout, done.stderr) == ("3\n", "")
