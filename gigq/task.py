"""The `task` decorator: a plain function that can also be submitted."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from gigq.model import codec, function_import, option_names, retry_options
from gigq.model.job import JOB_OPTIONS, Job
from gigq.model.retry_options import NO_OPTIONS, RetryOptions, UnsetDelay

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.retry_policy import RetryPolicy
    from gigq.queue import JobQueue

_OF_ONE_JOB = ("name", "dependencies", "pass_parent_results")
_DEFAULTS: dict[str, Any] = {
    name: default for name, default in JOB_OPTIONS.items() if name not in _OF_ONE_JOB
}
_OPTIONS = ("name", *_DEFAULTS)
_ALTERNATIVES = (("run_at", "delay"), ("expires_at", "expires_in"), ("retry", "retry_delay"))
Params = ParamSpec("Params")
Returned = TypeVar("Returned")


class TaskWrapper(Generic[Params, Returned]):
    """A function with the options of its jobs. Calling it calls the function.

    Attributes:
        __wrapped__: the function itself.
    """

    __name__: str
    __wrapped__: Callable[Params, Returned]

    def __init__(self, fn: Callable[Params, Returned], **options: Any) -> None:
        """Wrap a function.

        Args:
            fn: the function.
            **options: as for `task`.

        Raises:
            InvalidJob: as for `task`.
            TypeError: as for `task`.
        """
        _refuse_unknown("@task", options, _OPTIONS)
        if problem := _problem(fn):
            raise TypeError(problem)
        self._options = {"name": fn.__name__, **_DEFAULTS, **options}
        Job(function=fn, **self._options)  # a wrong value is an error at the import of its module
        self._retries_as_declared = True
        functools.update_wrapper(self, fn)

    def __call__(self, /, *args: Params.args, **kwargs: Params.kwargs) -> Returned:
        """Call the function here and now, without a queue."""
        return self.__wrapped__(*args, **kwargs)

    def options(self, **options: Any) -> TaskWrapper[Params, Returned]:
        """Return the same task with other options: `resize.options(priority=5).submit(queue)`.

        Of options that exclude each other, such as `run_at` and `delay`, the new one replaces the
        old one.

        Args:
            **options: any argument of `Job` except `function` and `params`.

        Returns:
            A task with these options; this one does not change.

        Raises:
            TypeError: `Job` has no such argument.
        """
        _refuse_unknown("options()", options, tuple(JOB_OPTIONS))
        other = copy.copy(self)
        other._options = {**self._options, **_without_alternatives(options)}
        other._retries_as_declared = self._retries_as_declared and not (
            options.keys() & {"retry_delay", *retry_options.NAMES}
        )
        return other

    def retry_policy(self) -> RetryPolicy | None:
        """Return the retry policy that the task's options make.

        Returns:
            The policy; None without an option about retries.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        given = {name: self._options[name] for name in retry_options.NAMES}
        options = RetryOptions(**given, of_task=True)
        function = ""
        if retry_options.is_function(options.retry):
            function = function_import.name_of(options.retry)
        return retry_options.policy_of(options, self._options["retry_delay"], function)

    def to_job(self, /, **params: Any) -> Job:
        """Make a job of this task without submitting it.

        Args:
            **params: keyword arguments for the function, as JSON values.

        Returns:
            The job, for `JobQueue.submit` or `Workflow.add_job`.

        Raises:
            InvalidJob: an option has a value that is not allowed.
        """
        job = Job(function=self.__wrapped__, params=params, **self._options)
        is_plain = job.retry_options is NO_OPTIONS and type(job.retry_delay) is UnsetDelay
        if not (self._retries_as_declared and is_plain):
            job.retry_options = job.retry_options._replace(of_task=self._retries_as_declared)
        return job

    def submit(self, queue: JobQueue, /, *values: Any, **params: Any) -> str:
        """Submit a job of this task.

        Args:
            queue: the queue to submit to; positional only, because a parameter may be called
                `queue` too.
            *values: not allowed; parameters are stored by name.
            **params: keyword arguments for the function.

        Returns:
            The id of the job.

        Raises:
            InvalidJob: an option or a parameter cannot be stored, or the function does not take
                these parameters.
            StoreError: the database refused the job.
            TypeError: `queue` is not a queue, or a parameter is given without its name.
        """
        if not hasattr(queue, "submit"):
            raise TypeError(
                f"submit() takes a JobQueue first, and {codec.short(queue)} is a "
                f"{type(queue).__name__}; write {self.__name__}.submit(JobQueue(path), ...)"
            )
        if values:
            raise TypeError(
                f"submit() takes parameters by name, and {codec.short(values[0])} has none; write "
                f"{self.__name__}.submit(queue, NAME={codec.short(values[0])})"
            )
        return queue.submit(self.to_job(**params))

    def __repr__(self) -> str:
        """Return the class, the task's name, and its options that differ from the defaults."""
        options = ", ".join(
            f"{key}={value!r}"
            for key, value in sorted(self._options.items())
            if key != "name" and value != JOB_OPTIONS[key]
        )
        return f"<TaskWrapper {self._options['name']!r} ({options})>"


@overload
def task(fn: Callable[Params, Returned], **options: Any) -> TaskWrapper[Params, Returned]: ...
@overload
def task(
    fn: None = None, **options: Any
) -> Callable[[Callable[Params, Returned]], TaskWrapper[Params, Returned]]: ...
def task(
    fn: Callable[..., Any] | None = None, **options: Any
) -> TaskWrapper[..., Any] | Callable[[Callable[..., Any]], TaskWrapper[..., Any]]:
    """Turn a function into a task, which can be submitted: `@task` or `@task(timeout=60)`.

    Args:
        fn: the function, when used without parentheses.
        **options: as for `Job`: name (the function's own by default), priority, max_attempts,
            timeout (seconds), description, retry_delay (seconds), queue, on_parent_failure,
            memory_limit (bytes or a string), crash_limit, retry, retry_on, give_up_on,
            retry_by_cause, max_snoozes, delay, run_at, expires_in, expires_at.

    Returns:
        The task; with parentheses, a decorator that returns it.

    Raises:
        InvalidJob: an option has a value that is not allowed.
        TypeError: an option is unknown, or a worker could not import and call the function: a
            lambda, a nested function, a method, a coroutine or generator function; or it is a
            task already.
    """
    if fn is None:
        return functools.partial(TaskWrapper, **options)
    return TaskWrapper(fn, **options)


def _without_alternatives(options: dict[str, Any]) -> dict[str, Any]:
    """Return options, with the default of each option that one of them replaces."""
    given = {name for name, value in options.items() if value is not JOB_OPTIONS[name]}
    replaced = (two for pair in _ALTERNATIVES for one, two in (pair, pair[::-1]) if one in given)
    return {**{name: JOB_OPTIONS[name] for name in replaced}, **options}


def _refuse_unknown(what: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    if unknown := set(options) - set(known):
        option_names.refuse(what, unknown, known)


def _problem(fn: Any) -> str | None:
    if isinstance(fn, TaskWrapper):
        return f"@task cannot be applied twice, and {fn!r} has it already"
    if not callable(fn):
        return f"@task takes a function, and {fn!r} is not callable"
    if not getattr(fn, "__module__", None) or not getattr(fn, "__name__", None):
        return f"@task takes a function with a module and a name, and {fn!r} has none"
    if inspect.iscoroutinefunction(fn):
        return f"@task cannot take the async function {fn.__name__}; call asyncio.run in it"
    if inspect.isgeneratorfunction(fn):
        return f"@task cannot take the generator function {fn.__name__}; return a list instead"
    return _problem_of_place(fn)


def _problem_of_place(fn: Callable[..., Any]) -> str | None:
    remedy = "define it with def at the top level of a module, where a worker can import it"
    if "<lambda>" in fn.__name__:
        return f"@task cannot take a lambda; {remedy}"
    name = getattr(fn, "__qualname__", "")
    if "<locals>" in name:
        return f"@task cannot take closures or nested functions such as {name}; {remedy}"
    if "." in name:
        return f"@task cannot take the method {name}; {remedy}"
    return None
