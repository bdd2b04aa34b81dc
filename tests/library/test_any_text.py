"""Text of any kind in what a job raises, returns or is called: it is stored and can be shown."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import jobs_to_run

import gigq
from gigq import JobQueue, Worker
from gigq.cli import main
from gigq.errors import InvalidJob

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)
BOUNDED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
SURROGATE = "caf\udce9"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    yield str(tmp_path_factory.mktemp("any") / "jobs.db")
    gigq.close_connections()


def shown(*words):
    """What a command prints; it must succeed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(words)
    text = out.getvalue()
    text.encode()
    assert code == 0, text
    assert all(c.isprintable() or c == "\n" for c in text)
    return text


def failed_with(place, function, **params):
    queue = JobQueue(place)
    job_id = queue.submit(gigq.Job("failing", function, params, max_attempts=1))
    assert Worker(place, worker_id=SURROGATE).process_one()
    return job_id, queue.get_status(job_id)


def commands_show(place, job_id):
    shown("status", job_id, "--show-executions", "--show-params", "--db", place)
    shown("list", "--limit", "3", "--db", place)
    for line in shown("list", "--json", "--limit", "3", "--db", place).splitlines():
        json.loads(line)
    json.loads(shown("status", job_id, "--json", "--db", place))
    shown("logs", job_id, "--db", place)


@BOUNDED
@given(text=ANY_TEXT, note=ANY_TEXT, times=st.just(1))
@example(text=SURROGATE, note="", times=1)
@example(text="", note=SURROGATE, times=1)
@example(text="\0", note="\0", times=1)
@example(text="\udce9\0\x1b[31m", note="", times=200_000)
def test_an_exception_with_any_text_fails_its_attempt_and_is_shown(place, text, note, times):
    job_id, found = failed_with(place, jobs_to_run.fail_with, text=text, note=note, times=times)

    assert (found["status"], found["cause"]) == ("failed", "error")
    assert "in fail_with" in found["error"]
    assert "\0" not in found["error"]
    assert found["executions"][0]["worker_id"] is not None
    commands_show(place, job_id)


@pytest.mark.parametrize("kind", ["exception", "group"])
def test_an_exception_whose_own_methods_raise_fails_its_attempt(place, kind):
    _, found = failed_with(place, jobs_to_run.fail_untellably, kind=kind)

    assert (found["status"], found["cause"]) == ("failed", "error")
    assert "Untellable" in found["error"]
    assert "fail_untellably" in found["error"]


@BOUNDED
@given(text=ANY_TEXT)
@example(text=SURROGATE)
@example(text="a\0b")
def test_a_name_of_any_text_is_stored_and_shown_or_refused(place, text):
    queue = JobQueue(place)
    try:
        job_id = queue.submit(
            gigq.Job(text, jobs_to_run.add, {"a": text, "b": text}, description=text)
        )
    except InvalidJob:
        return
    Worker(place).process_one()

    assert queue.get_status(job_id)["name"] == text
    assert queue.get_result(job_id) == text + text
    commands_show(place, job_id)


def test_a_job_can_be_asked_for_by_an_id_that_no_database_can_hold(place):
    queue = JobQueue(place)

    assert queue.get_status(SURROGATE) == {"exists": False}
    assert not queue.cancel(SURROGATE, running=True)
    assert not queue.requeue_job(SURROGATE)
