"""The application's hooks: functions of one module, called around each job and each worker."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.errors import HookFailed
from gigq.execution.error_text import error_text
from gigq.execution.job_context import current_job
from gigq.model import failure_details, scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Context
    from types import ModuleType

    from gigq.execution.job_context import CurrentJob

PARAMETERS = {
    "before_job": ("job",),
    "after_job": ("job", "error"),
    "worker_start": (),
    "worker_stop": (),
}
"""The hooks, each with its parameters."""

_MEANING = {
    "before_job": "the function was not called",
    "after_job": "the function had returned",
}


class Hooks:
    """The hooks of one module in one process. The module is imported by `load`, or by `start`.

    Attributes:
        module: the module's dotted name.
    """

    def __init__(self, module: str) -> None:
        if not isinstance(module, str):
            raise TypeError(f"hooks is {module!r}; give the dotted name of a module as text")
        self.module = module
        self._functions: dict[str, Callable[..., Any]] | None = None
        self._started_in = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Import the module and check its functions, without calling them.

        Raises:
            HookFailed: the import fails, or the module has no hook or one that cannot be called.
        """
        if self._functions is None:
            self._functions = _functions_of(self._imported())

    def start(self) -> None:
        """Call `worker_start`, once in each process.

        Raises:
            HookFailed: it raised an exception, or `load` fails.
        """
        with self._lock:
            if self._started_in == os.getpid():
                return
            self.load()
            self._call_for_worker("worker_start")
            self._started_in = os.getpid()

    def stop(self) -> None:
        """Call `worker_stop` after a `start`. Its exception is reported as an event."""
        with self._lock:
            if self._started_in != os.getpid():
                return
            self._started_in = 0
            try:
                self._call_for_worker("worker_stop")
            except BaseException as error:  # noqa: BLE001 - the worker exits in any case
                self._report("worker_stop", error.__cause__ or error, {})

    def call_between(self, context: Context, call: Callable[[], Any]) -> Any:
        """Call a function between `before_job` and `after_job`.

        `after_job` is called in any case. The exception of a hook is raised as if the function had
        raised it, unless there was an earlier one, which is raised then.

        Args:
            context: the job's own context, in which both are called.
            call: calls the job's function.

        Returns:
            The return value of `call`.
        """
        pid, job, after_is_due = os.getpid(), current_job(), True
        try:
            self._call("before_job", context, job)
            if os.getpid() != pid:  # a process that the hook forked exits like one of the function
                return None
            value = call()
            # After an interruption just before this line `after_job` is still called.
            after_is_due = False
            if os.getpid() == pid:  # not in a process that the job has forked
                self._call("after_job", context, job, None)
        except BaseException as error:
            if after_is_due and os.getpid() == pid:
                self._after_error(context, job, error)
            raise
        return value

    def _after_error(self, context: Context, job: CurrentJob | None, error: BaseException) -> None:
        hook = self._function("after_job")
        if hook is None:
            return
        try:
            context.run(hook, job, error)
        except BaseException as second:  # noqa: BLE001 - the first error is the job's
            if second is not error:
                self._report("after_job", second, _fields_of(job))

    def _call(self, name: str, context: Context, *arguments: Any) -> None:
        hook = self._function(name)
        if hook is None:
            return
        try:
            context.run(hook, *arguments)
        except BaseException as error:
            note = f"(raised by {name} of {self.module}; {_MEANING[name]})"
            with suppress(Exception):  # the exception's own class may refuse notes
                BaseException.add_note(error, note)
            raise

    def _function(self, name: str) -> Callable[..., Any] | None:
        return self._functions.get(name) if self._functions else None

    def _call_for_worker(self, name: str) -> None:
        hook = self._function(name)
        if hook is None:
            return
        try:
            hook()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise HookFailed(f"{name} of {self.module} failed: {_shown(error)}") from error

    def _imported(self) -> ModuleType:
        try:
            with scripts.loading(self.module):
                return importlib.import_module(self.module)
        except (Exception, SystemExit) as error:
            raise HookFailed(
                f"importing the hooks module {self.module} failed: {_shown(error)}"
            ) from error

    def _report(self, name: str, error: BaseException, fields: dict[str, Any]) -> None:
        facts = failure_details.of_exception(error, error_text(error), self.module)
        events.emit(
            events.HOOK_FAILED,
            level=logging.ERROR,
            hook=f"{self.module}.{name}",
            **fields,
            **failure_details.fields(facts),
        )


@contextmanager
def worker_hooks(hooks: Hooks | None) -> Iterator[None]:
    """Call `worker_start` before and `worker_stop` after the jobs of a worker, if it has hooks.

    Raises:
        HookFailed: `worker_start` or the module's import has failed.
    """
    if hooks is None:
        yield
        return
    hooks.start()
    try:
        yield
    finally:
        hooks.stop()


def _functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    found = {name: getattr(module, name) for name in PARAMETERS if hasattr(module, name)}
    if not found:
        raise HookFailed(
            f"the hooks module {module.__name__} has none of {', '.join(PARAMETERS)}; "
            "define at least one of them"
        )
    for name, hook in found.items():
        if problem := _problem(name, hook):
            raise HookFailed(f"{name} of {module.__name__} {problem}")
    return found


def _problem(name: str, hook: Any) -> str | None:
    """Return the reason why a hook cannot be called, or None."""
    call = f"def {name}({', '.join(PARAMETERS[name])})"
    if not callable(hook):
        return f"is no function; write {call}"
    if inspect.iscoroutinefunction(hook) or inspect.isgeneratorfunction(hook):
        return f"is an async function or a generator, whose code would not run; write {call}"
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # a function in C may have none
        return None
    try:
        signature.bind(*PARAMETERS[name])
    except TypeError:
        return f"has the parameters {signature}; write {call}"
    return None


def _fields_of(job: CurrentJob | None) -> dict[str, Any]:
    if job is None:
        return {}
    return {
        "job_id": job.id,
        "job": job.name,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
    }


def _shown(error: BaseException) -> str:
    if isinstance(error, SyntaxError):  # its headline has several lines
        return f"{type(error).__name__}: {error}"
    return error_text(error).partition("\n\n")[0]
