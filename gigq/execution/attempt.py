"""One attempt of a job: import, parent results, call, result. It holds no connection."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import time
from contextvars import copy_context
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.errors import GigqError, JobCancelled, JobInterrupted, JobStopped, JobTimeout
from gigq.execution.error_text import (
    error_text,
    exceptions_in,
    headline,
    shortened,
    traceback_of_job,
)
from gigq.execution.forked_exit import exit_if_forked
from gigq.execution.job_context import Running
from gigq.execution.timer_interrupt import getsignal, in_main_thread, limited
from gigq.model import codec, failure_details, scripts
from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult, Interruption
from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Self, TypeGuard

    from gigq.execution.hooks import Hooks
    from gigq.execution.job_context import JobContext
    from gigq.execution.timer_interrupt import Interrupter
    from gigq.model.claim import Claim
    from gigq.model.function_import import FunctionRef

    Function = Callable[..., Any]
    Advise = Callable[[Claim, ExecutionResult, BaseException], ExecutionResult]

_INTERRUPTED: tuple[tuple[type[JobInterrupted], JobStatus, Cause], ...] = (
    (JobTimeout, JobStatus.TIMEOUT, Cause.TIMEOUT),
    (JobCancelled, JobStatus.CANCELLED, Cause.CANCELLED),
    (JobStopped, JobStatus.FAILED, Cause.STOPPED),
)
# The descriptors of the base classes: an exception's own class may override the attributes.
_CAUSE: Any = BaseException.__dict__["__cause__"]
_CONTEXT: Any = BaseException.__dict__["__context__"]
_INJECTED = "parent_results"
_LONGEST_NAME = 200
_NOT_AGAIN = "\n\nThe function has returned; it is not called again."


class Environment(NamedTuple):
    """The functions and limits with which a runner runs its jobs.

    Attributes:
        load: returns the function that a reference names; an exception fails the attempt.
        parent_results: returns the results of jobs by id, in the order of the ids.
        interrupter: may raise `JobInterrupted` while the function runs.
        result_limit: maximum size of the result, in bytes of JSON.
        hooks: the application's functions around its jobs.
        advise: adds to the result of a failed attempt what decides about the next one.
    """

    load: Callable[[FunctionRef], Function]
    parent_results: Callable[[tuple[str, ...]], dict[str, Any]]
    interrupter: Interrupter
    result_limit: int = codec.DEFAULT_LIMIT
    hooks: Hooks | None = None
    advise: Advise = lambda _claim, result, _error: result


def attempt(
    claim: Claim, context: JobContext, environment: Environment
) -> tuple[ExecutionResult, bool]:
    """Run the function of a claim as the current job, and note its interruption.

    Args:
        claim: the job and its attempt.
        context: answers the job's questions about its limits.
        environment: how it runs.

    Returns:
        The result, and True when Ctrl-C was pressed during the attempt.
    """
    with CtrlC() as ctrl_c, Running(claim, context) as running:
        result = run(claim, environment)
    # A job that uses SIGALRM itself, or runs in a thread, may pass its limit uninterrupted.
    interruption = (
        environment.interrupter.interruption
        or ctrl_c.interruption
        or running.seen
        or running.overrun()
    )
    if interruption is not None:
        result = result.after(interruption, time.monotonic())
    if ctrl_c.pressed and result.status is not JobStatus.COMPLETED:
        result = result._replace(cause=Cause.STOPPED)
    return result, ctrl_c.pressed


class CtrlC:
    """A context that notes SIGINT, which a job's own `KeyboardInterrupt` is not.

    It notes nothing where another handler of SIGINT is installed, and outside the main thread.

    Attributes:
        pressed: True when the signal came.
        interruption: the time at which it came; None when it did not.
    """

    __slots__ = ("_ours", "interruption", "pressed")

    def __enter__(self) -> Self:
        self.pressed = False
        self.interruption: Interruption | None = None
        # The cheap test first: in the daemon SIGINT always has a handler of its own.
        self._ours = getsignal(signal.SIGINT) is signal.default_int_handler and in_main_thread()
        if self._ours:
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _press(self, signum: int, frame: Any) -> None:
        self.pressed = True
        self.interruption = Interruption(Cause.STOPPED, time.monotonic())
        signal.default_int_handler(signum, frame)


def run(claim: Claim, environment: Environment) -> ExecutionResult:
    """Run the function of a claim to its end.

    Args:
        claim: the job and its attempt.
        environment: how it runs.

    Returns:
        COMPLETED with the result. When the interrupter has ended the job, TIMEOUT after
        `JobTimeout`, CANCELLED after `JobCancelled`, and FAILED with the cause STOPPED after
        `JobStopped`, also when the job turned it into another exception. FAILED after any other
        exception, `SystemExit`, `KeyboardInterrupt` and `MemoryError` included. FAILED for good
        after a result that cannot be stored: another attempt would do the same work again.
    """
    pid = os.getpid()
    file = claim.function.file
    script = None if file is None else scripts.JobOfScript(file)
    try:
        # An import that hangs is an overrun like any other.
        with environment.interrupter.armed(claim):
            if environment.hooks is None:
                function = environment.load(claim.function)
                params = _params(claim, function, environment.parent_results)
                if script is not None:
                    script.begin()
                value = _own_context().run(function, **params)
            else:
                value = _run_with_hooks(environment.hooks, claim, script, environment)
            exit_if_forked(pid)
        return _completed(claim, value, environment.result_limit)
    except BaseException as error:  # noqa: BLE001 - a job may raise anything; none is success
        exit_if_forked(pid, error, traceback_of_job(error))
        status, cause = _meaning(claim, error)
        text = _text_of(error, claim, environment.interrupter)
        facts = failure_details.of_exception(error, text, claim.function.module)
        result = ExecutionResult(status, error=text, cause=cause, failure=facts)
        result = environment.advise(claim, result, error)
        exit_if_forked(pid)
        return result
    finally:
        if script is not None:
            script.end()


def _text_of(error: BaseException, claim: Claim, interrupter: Interrupter) -> str:
    """Return an exception as it is stored; its own methods have a limit if the job has one."""
    if claim.timeout is None:
        return error_text(error)
    try:
        with limited(interrupter.time_left(), "its text took too long"):
            return error_text(error)
    except JobTimeout as late:  # not within a method of the exception
        return headline(late)


def _run_with_hooks(
    hooks: Hooks, claim: Claim, script: scripts.JobOfScript | None, environment: Environment
) -> Any:
    """Call the function between the hooks; a failed import counts as a failed function."""
    try:
        # Before the context is copied, so that the copy has what the module sets at its top.
        function = environment.load(claim.function)
        call = partial(function, **_params(claim, function, environment.parent_results))
        if script is not None:
            script.begin()
    except BaseException as error:  # noqa: BLE001 - raised again between the hooks
        call = partial(_raise, error)
    context = _own_context()
    return hooks.call_between(context, partial(context.run, call))


def _raise(error: BaseException) -> Any:
    raise error


def _completed(claim: Claim, value: Any, limit: int) -> ExecutionResult:
    # No result and the result None are the same to the caller. Most jobs have none.
    if value is None:
        return ExecutionResult(JobStatus.COMPLETED)
    return result_with(JobStatus.COMPLETED, value, f"job {_called(claim)}: the result", limit)


def result_with(status: JobStatus, value: Any, what: str, limit: int) -> ExecutionResult:
    """Return the result for a return value: FAILED for good if it cannot be stored.

    Args:
        status: the status if the value can be stored.
        value: the function's return value.
        what: the name of the value in messages.
        limit: maximum size in bytes of JSON.
    """
    if value is None:
        return ExecutionResult(status)
    try:
        return ExecutionResult(status, value=codec.encode(value, what, limit, verb="return"))
    except Exception as error:  # noqa: BLE001 - a user's object may raise anything when it is read
        # The traceback of an error of gigq shows no code of the job.
        said = headline(error) if issubclass(type(error), GigqError) else error_text(error)
        said = storable(shortened(f"{said.rstrip()}{_NOT_AGAIN}"))
        return ExecutionResult(JobStatus.FAILED, error=said, cause=Cause.ERROR, final=True)


def _called(claim: Claim) -> str:
    name = claim.name
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")


def accepts_parent_results(function: Function) -> bool:
    """Return True when a function has a parameter `parent_results` or `**kwargs`."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        # Some functions written in C have no signature.
        return False
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return True
    named = parameters.get(_INJECTED)
    return named is not None and named.kind is not inspect.Parameter.POSITIONAL_ONLY


# Reading a signature takes as long as many jobs.
_accepts_parent_results = lru_cache(maxsize=256)(accepts_parent_results)


def wants_parent_results(claim: Claim, function: Function) -> bool:
    """Return True when the job gets the results of its dependencies."""
    if not claim.dependencies:
        return False
    if claim.pass_parent_results is None:
        try:
            return _accepts_parent_results(function)
        except TypeError:  # an unhashable object cannot be cached
            return accepts_parent_results(function)
    return claim.pass_parent_results


def _meaning(claim: Claim, error: BaseException) -> tuple[JobStatus, Cause]:
    interruption = _interruption(claim, error)
    for kind, status, cause in _INTERRUPTED:
        if issubclass(type(interruption), kind):
            return status, cause
    return JobStatus.FAILED, Cause.ERROR


def _interruption(claim: Claim, error: BaseException) -> JobInterrupted | None:
    """Return the interrupter's exception: the error itself, its cause, or one of its group."""
    # Libraries wrap exceptions, and clean-up may fail: the reason stays the same.
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        if _is_of(one, claim):
            return one
        seen.add(id(one))
        left += [_CONTEXT.__get__(one), _CAUSE.__get__(one), *exceptions_in(one)]
    return None


def _is_of(error: BaseException, claim: Claim) -> TypeGuard[JobInterrupted]:
    # `isinstance` would read `__class__`, which the exception may override.
    if not issubclass(type(error), JobInterrupted):
        return False
    interruption: Any = error
    try:
        return bool(interruption.execution_id == claim.execution_id)
    except BaseException:  # noqa: BLE001 - a subclass of the job; the worker's raises nothing
        return False


def _own_context() -> Context:
    """Return the context that the job's function runs in: a copy of the worker's.

    Changes of the function end with it. A decimal context is changed in place, so the copy has
    its own one.
    """
    context = copy_context()
    decimal = sys.modules.get("decimal")
    if hasattr(decimal, "getcontext"):  # not while another thread imports it
        context.run(_copy_decimal_context, decimal)
    return context


def _copy_decimal_context(decimal: Any) -> None:
    decimal.setcontext(decimal.getcontext().copy())


def _params(
    claim: Claim, function: Function, parent_results: Callable[[tuple[str, ...]], dict[str, Any]]
) -> dict[str, Any]:
    if not wants_parent_results(claim, function):
        return claim.params
    return {**claim.params, _INJECTED: parent_results(claim.dependencies)}
