"""The options of a job about retries, as they are given, and the policy that they make."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from gigq.model import retry_policy
from gigq.model.codec import short
from gigq.model.delay import seconds_of
from gigq.model.retry import Retry
from gigq.model.retry_policy import RetryPolicy

_NAMES_OF_SCRIPTS = ("__main__", "__mp_main__")
_MOST_SNOOZES = 10_000
_MOST_VALUES = 1_000
_LONGEST_NAME = 1_000


class RetryOptions(NamedTuple):
    """The options about retries besides `retry_delay`, as `Job` describes them.

    Attributes:
        of_task: True when they are those of the function's `@task`, False when others replace
            them; None for a job that is not made by a task.
    """

    retry: Any = None
    retry_on: Any = None
    give_up_on: Any = None
    retry_by_cause: Any = None
    max_snoozes: int = retry_policy.MAX_SNOOZES
    of_task: bool | None = None


class UnsetDelay(int):
    """The `retry_delay` of a job that was given none: 0, as in GigQ 0.5.1."""


UNSET_DELAY = UnsetDelay(0)
NO_OPTIONS = RetryOptions()
NAMES = tuple(name for name in RetryOptions._fields if name != "of_task")


class Option:
    """An attribute of a job that is one of its `retry_options`.

    Jobs of a batch usually share these options: together they are compared as one value.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, job: Any, owner: type | None = None) -> Any:
        return self if job is None else getattr(job.retry_options, self._name)

    def __set__(self, job: Any, value: Any) -> None:
        job.retry_options = job.retry_options._replace(**{self._name: value})


def is_function(retry: Any) -> bool:
    """Return True when the delays are computed by a function, given itself or by its name."""
    return isinstance(retry, str) or (callable(retry) and not isinstance(retry, Retry))


def policy_of(options: RetryOptions, retry_delay: float, function: str = "") -> RetryPolicy | None:
    """Return the policy of a job; None when it has no option, and those of a task may apply.

    Args:
        options: the options.
        retry_delay: seconds; `UNSET_DELAY` when they are not given.
        function: the name with which a worker finds the function that `retry` is.

    Raises:
        ValueError: an option has a value that is not allowed; the message names both.
    """
    is_given = type(retry_delay) is not UnsetDelay
    if options.retry is not None and is_given:
        raise ValueError("retry and retry_delay are both given; give one of them")
    policy = RetryPolicy(
        *_delays(options, float(retry_delay) if is_given else None),
        function if is_function(options.retry) else "",
        class_names("retry_on", options.retry_on),
        class_names("give_up_on", options.give_up_on),
        _causes(options.retry_by_cause),
        _max_snoozes(options.max_snoozes),
        bool(options.of_task),
    )
    is_own = is_given or options.of_task is False
    return policy if is_own or policy not in (retry_policy.NO_POLICY, _NOTHING_OF_TASK) else None


_NOTHING_OF_TASK = RetryPolicy(of_task=True)


def _delays(
    options: RetryOptions, retry_delay: float | None
) -> tuple[Retry | None, tuple[float, ...]]:
    retry = options.retry
    if retry is None:
        # The column `retry_delay` has other delays. Its 0 stands for none, and a task may change.
        if retry_delay is None or (retry_delay and not options.of_task):
            return None, ()
        return None, (retry_delay,)
    if isinstance(retry, Retry):
        return retry, ()
    if isinstance(retry, type):
        raise ValueError(f"retry is the class {short(retry.__name__)}; give an object: Retry()")
    if isinstance(retry, list | tuple) and retry:
        _refuse_many("retry", "delays", len(retry), " (the last one is used again)")
        return None, tuple(seconds_of(f"retry[{n}]", delay) for n, delay in enumerate(retry))
    if isinstance(retry, str) and (":" not in retry or len(retry) > _LONGEST_NAME):
        raise ValueError(
            f"retry is {short(retry)}; give a list of delays such as ['10m'], or name a function "
            "as 'module:function'"
        )
    if is_function(retry):
        return None, ()
    raise ValueError(
        f"retry is {short(retry)}; give a Retry, a list of delays, or a function of the attempt "
        "and the exception; the number of attempts is max_attempts, and one delay is retry_delay"
    )


def class_names(what: str, given: Any) -> tuple[str, ...]:
    """Return the names under which exception classes are stored.

    Args:
        what: the option.
        given: None, a class or its dotted name, or several of them.

    Raises:
        ValueError: one is neither.
    """
    if given is None:
        return ()
    several = isinstance(given, Iterable) and not isinstance(given, str | type)
    classes = [*islice(given, _MOST_VALUES + 1)] if several else [given]
    _refuse_many(what, "classes", len(classes))
    return tuple(_class_name(what, one) for one in classes)


def _refuse_many(what: str, values: str, count: int, more: str = "") -> None:
    if count > _MOST_VALUES:
        raise ValueError(f"{what} has more than {_MOST_VALUES:,} {values}; give fewer{more}")


def _class_name(what: str, one: Any) -> str:
    if isinstance(one, type) and issubclass(one, BaseException):
        if any(kind.__name__ == "JobInterrupted" for kind in one.__mro__):
            raise ValueError(
                f"{what} has {one.__name__}, which ends a job from outside; write "
                "retry_by_cause={'timeout': 'never'}"
            )
        return name_of_class(one)
    if isinstance(one, str) and _is_dotted_name(one):
        name = one.removeprefix("builtins.")
        if "." in name or _is_builtin_exception(name):
            return name
        raise ValueError(
            f"{what} has {short(name)}, which is no built-in exception; give the class, or its "
            f"dotted name such as 'shop.{name[:60]}'"
        )
    raise ValueError(
        f"{what} has {short(one)}; give exception classes, or dotted names such as "
        "'requests.Timeout'"
    )


def _is_dotted_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and all(part.isidentifier() for part in name.split("."))


def _is_builtin_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def name_of_class(kind: type) -> str:
    """Return the stored name of an exception class: its module and its name in it."""
    module = kind.__module__
    if module in _NAMES_OF_SCRIPTS:
        module = _main_module_of(kind)
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _main_module_of(kind: type) -> str:
    """Return the name under which a worker imports the main module: its own after `python -m`."""
    main = sys.modules.get(_NAMES_OF_SCRIPTS[0])
    spec = getattr(main, "__spec__", None)
    if spec is None or spec.name in _NAMES_OF_SCRIPTS:
        return _NAMES_OF_SCRIPTS[0]
    # A worker, itself run with -m, shortly shows another main module to each of its threads.
    is_there = kind.__qualname__.partition(".")[0] in vars(main)
    return str(spec.name) if is_there else _NAMES_OF_SCRIPTS[0]


def _causes(given: Any) -> Mapping[str, str | float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(
            f"retry_by_cause is {short(given)}; give a dict such as {{'timeout': 'never'}}"
        )
    return {_cause(name): _rule(name, rule) for name, rule in given.items()}


def _cause(name: Any) -> str:
    if name not in retry_policy.RULES:
        names = ", ".join(retry_policy.RULES)
        raise ValueError(f"retry_by_cause has the cause {short(name)}; the causes are {names}")
    return str(name)


def _rule(cause: str, rule: Any) -> str | float:
    try:
        return retry_policy.read_rule(cause, rule)
    except ValueError:
        raise ValueError(
            f"retry_by_cause[{cause!r}] is {short(rule)}; give 'policy', 'now', 'never' or a delay"
        ) from None


def _max_snoozes(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= _MOST_SNOOZES:
        raise ValueError(
            f"max_snoozes is {short(given)}; give an integer from 0 to {_MOST_SNOOZES:,}"
        )
    return given
