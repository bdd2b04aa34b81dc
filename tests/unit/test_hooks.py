"""What the application's hooks are, and what their errors mean for the job."""

from __future__ import annotations

import os
import sys
from asyncio import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType, SimpleNamespace

import pytest
from support.claims import claim

from gigq.errors import HookFailed, JobTimeout
from gigq.execution import attempt, job_context
from gigq.execution.hooks import Hooks, worker_hooks
from gigq.execution.timer_interrupt import NoInterrupter
from gigq.model.cause import Cause
from gigq.model.execution_result import Interruption
from gigq.model.job_status import JobStatus

KIND = {CancelledError: "asyncio.exceptions.CancelledError"}
NAME = "shop_hooks_of_this_test"
language = ContextVar("language", default="none")


@pytest.fixture
def hooks(monkeypatch):
    """A function that makes hooks of functions given by name."""

    def make(**functions):
        module = ModuleType(NAME)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, NAME, module)
        made = Hooks(NAME)
        made.load()
        return made

    return make


def run(hooks, function, interrupter=None, **columns):
    one = claim(**columns)
    with job_context.Running(one, SimpleNamespace(deadline=lambda _claim: None)):
        return attempt.run(
            one,
            attempt.Environment(
                load=lambda _ref: function(),
                parent_results=lambda _ids: {},
                interrupter=interrupter or NoInterrupter(),
                hooks=hooks,
            ),
        )


def job(function):
    return lambda: function


def fail(*_):
    raise ValueError("no card")


class Noted(list):
    """Hooks that note how they are called."""

    def before_job(self, job):
        self.append(("before", job.name, language.get()))
        language.set("de")

    def after_job(self, job, error):
        self.append(("after", type(error).__name__, language.get()))

    def work(self):
        self.append(("work", language.get()))
        language.set("fr")

    def both(self):
        return {"before_job": self.before_job, "after_job": self.after_job}


def test_the_hooks_run_in_the_jobs_own_context_around_its_function(hooks):
    noted = Noted()

    ending = run(hooks(**noted.both()), job(noted.work))

    assert ending.status is JobStatus.COMPLETED
    assert noted == [
        ("before", claim().name, "none"),
        ("work", "de"),
        ("after", "NoneType", "fr"),
    ]
    assert language.get() == "none"


def test_after_job_is_called_with_the_error_of_the_function(hooks):
    noted = Noted()

    ending = run(hooks(**noted.both()), job(fail))

    assert ending.error.startswith("ValueError: no card\n\nTraceback")
    assert "gigq/execution/hooks.py" not in ending.error
    assert noted[-1][:2] == ("after", "ValueError")


def test_a_function_that_cannot_be_imported_is_a_failure_between_the_hooks(hooks):
    noted = Noted()

    def load():
        raise ModuleNotFoundError("No module named 'shop'")

    ending = run(hooks(**noted.both()), load)

    assert ending.status is JobStatus.FAILED
    assert [what for what, *_ in noted] == ["before", "after"]
    assert noted[-1][1] == "ModuleNotFoundError"


def test_what_the_functions_module_sets_in_the_context_holds_in_the_job(hooks):
    seen = []

    def load():
        language.set("it")
        return lambda: seen.append(language.get())

    token = language.set("none")
    try:
        run(hooks(before_job=lambda job: None), load)
    finally:
        language.reset(token)

    assert seen == ["it"]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, MemoryError])
def test_what_before_job_raises_fails_the_attempt_and_the_function_is_not_called(hooks, kind):
    noted = Noted()

    def before_job(job):
        raise kind("no database")

    ending = run(hooks(before_job=before_job, after_job=noted.after_job), job(noted.work))

    assert (ending.status, ending.cause, ending.final) == (JobStatus.FAILED, Cause.ERROR, False)
    assert f"raised by before_job of {NAME}; the function was not called" in ending.error
    assert [what for what, *_ in noted] == ["after"]


def test_what_after_job_raises_after_a_success_fails_the_attempt(hooks):
    noted = Noted()

    def after_job(job, error):
        noted.after_job(job, error)
        fail()

    ending = run(hooks(after_job=after_job), job(noted.work))

    assert [what for what, *_ in noted] == ["work", "after"]
    assert (ending.status, ending.cause, ending.final) == (JobStatus.FAILED, Cause.ERROR, False)
    assert ending.value is None
    assert f"raised by after_job of {NAME}; the function had returned" in ending.error


def test_what_after_job_raises_after_a_failure_is_reported_beside_the_jobs_own_error(
    hooks, reported
):
    def after_job(job, error):
        raise RuntimeError("the hook too")

    ending = run(hooks(after_job=after_job), job(fail))

    assert ending.error.startswith("ValueError: no card\n\n")
    ((name, fields),) = reported
    assert name == "hook.failed"
    assert fields["hook"] == f"{NAME}.after_job"
    assert (fields["job"], fields["attempt"]) == (claim().name, claim().attempt)
    assert (fields["error_type"], fields["error_message"]) == ("RuntimeError", "the hook too")


class SpoiltError(Exception):
    """An exception that takes no notes."""

    __notes__ = 3


def test_an_exception_of_a_hook_that_takes_no_notes_is_recorded_as_it_is(hooks):
    def before_job(job):
        raise SpoiltError("no session")

    ending = run(hooks(before_job=before_job), job(fail))

    assert "SpoiltError: no session" in ending.error.partition("\n\n")[0]


def test_an_after_job_that_raises_the_jobs_error_again_has_not_failed_itself(hooks, reported):
    def after_job(job, error):
        raise error

    assert run(hooks(after_job=after_job), job(fail)).error.startswith("ValueError: no card")
    assert reported == []


class InterruptedAt:
    """An interrupter that raises where it is called, once."""

    interruption = None

    def __init__(self):
        self.execution = ""

    @contextmanager
    def armed(self, claim):
        self.execution = claim.execution_id
        yield

    def __call__(self, *_):
        self.interruption = Interruption(Cause.TIMEOUT, 0.0)
        raise JobTimeout("it takes too long").interrupting(self.execution)


@pytest.mark.parametrize("where", ["before_job", "work", "after_job"])
def test_an_interruption_counts_wherever_it_arrives(hooks, where):
    interrupt = InterruptedAt()
    noted = Noted()
    functions = {**noted.both(), "work": noted.work, where: interrupt}
    work = functions.pop("work")

    ending = run(hooks(**functions), job(work), interrupter=interrupt)

    assert (ending.status, ending.cause) == (JobStatus.TIMEOUT, Cause.TIMEOUT)
    if where != "after_job":
        assert noted[-1][:2] == ("after", "JobTimeout")


def test_an_interruption_right_after_the_function_is_followed_by_after_job(hooks):
    interrupt = InterruptedAt()
    noted = Noted()

    def trace(frame, event, _argument):
        if event == "line" and frame.f_code is Hooks.call_between.__code__ and len(noted) == 2:
            interrupt()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        ending = run(hooks(**noted.both()), job(noted.work), interrupter=interrupt)
    finally:
        sys.settrace(before)

    assert ending.status is JobStatus.TIMEOUT
    assert [what for what, *_ in noted] == ["before", "work", "after"]
    assert noted[-1][1] == "JobTimeout"


def test_an_interruption_in_after_job_leaves_a_failed_function_its_error(hooks):
    interrupt = InterruptedAt()

    ending = run(hooks(after_job=interrupt), job(fail), interrupter=interrupt)

    assert ending.status is JobStatus.FAILED
    assert ending.error.startswith("ValueError: no card")


@pytest.mark.parametrize("raises", [False, True])
def test_a_process_that_the_job_forks_does_not_call_after_job(hooks, tmp_path, raises):
    log = tmp_path / "log"
    worker = os.getpid()

    def after_job(job, error):
        with log.open("a") as file:
            file.write(f"{os.getpid() == worker}\n")

    def work():
        child = os.fork()
        if child == 0:
            if raises:
                raise SystemExit(0)
            return
        os.waitpid(child, 0)

    run(hooks(after_job=after_job), job(work))

    assert log.read_text() == "True\n"


def test_a_process_that_before_job_forks_does_not_run_the_function(hooks, tmp_path):
    log = tmp_path / "log"

    def before_job(job):
        if child := os.fork():
            os.waitpid(child, 0)

    def work():
        with log.open("a") as file:
            file.write("ran\n")

    run(hooks(before_job=before_job), job(work))

    assert log.read_text() == "ran\n"


# --- the worker's hooks, and the module ----------------------------------------------------------


def test_worker_start_and_worker_stop_are_called_once(hooks):
    calls = []
    made = hooks(
        worker_start=lambda: calls.append("start"), worker_stop=lambda: calls.append("stop")
    )

    with worker_hooks(made):
        made.start()
    made.stop()

    assert calls == ["start", "stop"]


def test_a_forked_process_has_a_worker_start_of_its_own(hooks, tmp_path):
    log = tmp_path / "log"

    def worker_start():
        with log.open("a") as file:
            file.write("start\n")

    made = hooks(worker_start=worker_start)
    made.start()
    child = os.fork()
    if child == 0:
        try:
            made.start()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert log.read_text() == "start\n" * 2


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_a_worker_start_that_fails_is_an_error_with_its_name(hooks, kind):
    def worker_start():
        raise kind("no port")

    with pytest.raises(HookFailed, match=f"worker_start of {NAME} failed: {kind.__name__}: no po"):
        hooks(worker_start=worker_start).start()


@pytest.mark.parametrize("error", [SystemExit, CancelledError, KeyboardInterrupt, GeneratorExit])
def test_a_worker_stop_that_fails_is_reported(hooks, reported, error):
    def worker_stop():
        raise error("3")

    with worker_hooks(hooks(worker_stop=worker_stop)):
        pass

    ((name, fields),) = reported
    assert (name, fields["hook"]) == ("hook.failed", f"{NAME}.worker_stop")
    assert (fields["error_type"], fields["error_message"]) == (KIND.get(error, error.__name__), "3")


def test_a_worker_start_that_raises_more_than_an_exception_is_named(hooks):
    def worker_start():
        raise CancelledError

    with pytest.raises(HookFailed, match=r"worker_start of .* failed: asyncio"):
        hooks(worker_start=worker_start).start()


async def asleep(job):
    """A hook whose code would never run."""


@pytest.mark.parametrize(
    ("functions", "problem"),
    [
        ({}, "has none of before_job, after_job, worker_start, worker_stop"),
        ({"before_jobs": fail}, "has none of before_job"),
        ({"before_job": 3}, r"is no function; write def before_job\(job\)"),
        ({"before_job": asleep}, "is an async function or a generator"),
        ({"after_job": lambda job: None}, r"parameters \(job\); write def after_job\(job, error\)"),
        ({"worker_start": lambda name: None}, r"write def worker_start\(\)"),
    ],
)
def test_a_module_that_cannot_be_used_is_refused_with_the_remedy(hooks, functions, problem):
    with pytest.raises(HookFailed, match=problem):
        hooks(**functions)


def test_a_module_is_given_by_its_name():
    with pytest.raises(TypeError, match="give the dotted name of a module"):
        Hooks(sys)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "ModuleNotFoundError: No module named"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        (
            "import gigq\nJob = gigq.Job('a job', print)\ngigq.JobQueue(':memory:').submit(Job)",
            "gigq.errors.FunctionNotImportable: shop_bad_hooks submits or works off jobs",
        ),
        ("def before_job(job) pass", r"SyntaxError: .*\(shop_bad_hooks.py, line 1\)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused_with_the_reason(
    tmp_path, monkeypatch, source, problem
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop_bad_hooks", raising=False)
    if source:
        (tmp_path / "shop_bad_hooks.py").write_text(source)

    with pytest.raises(HookFailed, match=f"the hooks module shop_bad_hooks failed: {problem}"):
        Hooks("shop_bad_hooks").load()
