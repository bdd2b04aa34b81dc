"""Comparison of a job's parameters with the signature of its function, before it is stored."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model import codec
from gigq.model.job import JOB_OPTIONS
from gigq.model.option_names import OURS
from gigq.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Function = Callable[..., Any]

PARENT_RESULTS = "parent_results"

_LONGEST_TEXT = 300
_MOST_NAMES = 5
_BY_NAME = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


class _Trust:
    """True as long as workers call the functions that are stored."""

    is_given = True


class Signature(NamedTuple):
    """The keyword arguments that a function takes.

    Attributes:
        name: the function's own.
        read: Python's signature; default values are shown in messages only.
        accepted: the names of its parameters.
        required: the names of those without a default.
        required_beside_results: the same without `parent_results`.
        takes_any: True when it has `**kwargs`.
        takes_results: True when the worker can add `parent_results`.
        only_by_position: a positional-only parameter without a default, or None.
        known_to_fit: names of parameters, in their order, of jobs without dependencies that fitted.
    """

    name: str
    read: inspect.Signature
    accepted: frozenset[str]
    required: frozenset[str]
    required_beside_results: frozenset[str]
    takes_any: bool
    takes_results: bool
    only_by_position: str | None
    known_to_fit: set[tuple[str, ...]]

    @property
    def text(self) -> str:
        """The function's name and signature, for messages."""
        try:
            text = f"{self.name}{_without_quotes(self.read)}"
        except Exception:  # noqa: BLE001 - default values have methods of their own
            text = f"{self.name}(...)"
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."

    def fits(self, params: Mapping[str, Any], *, gets_results: bool) -> bool:
        """Return True when the function can be called with these parameters.

        Args:
            params: the parameters of the job.
            gets_results: True when the worker adds `parent_results`.
        """
        given = params.keys()
        return (
            given >= (self.required_beside_results if gets_results else self.required)
            and (self.takes_any or given <= self.accepted)
            and self.only_by_position is None
            and (not gets_results or self.takes_results)
        )

    def problem(self, params: Mapping[str, Any], *, gets_results: bool) -> str:
        """Return the reason why parameters do not fit, with the signature."""
        if self.only_by_position:
            return (
                f"{self.text} takes {self.only_by_position!r} by position only, and parameters "
                "are keyword arguments; remove the / from its definition, or call it in a function "
                "of your own"
            )
        required = self.required_beside_results if gets_results else self.required
        given = [*params, PARENT_RESULTS] if gets_results else params
        unknown = [] if self.takes_any else [name for name in given if name not in self.accepted]
        missing = [name for name in sorted(required) if name not in params]
        return " ".join([*self._unknown(unknown, given), *self._missing(missing, unknown)])

    def _unknown(self, names: list[str], given: Iterable[str]) -> Iterator[str]:
        if not names:
            return
        yield f"{self.text} has no parameter {_listed(names)}."
        left = self.accepted.difference(given)
        for name in names[:_MOST_NAMES]:
            if name in JOB_OPTIONS:
                yield (
                    f"{name} is an option of the job: give it to Job(...), or use "
                    f"task.options({name}=...).submit(queue, ...)."
                )
            elif name in OURS:
                yield f"For what other queues call {name}, use {OURS[name]} in task.options(...)."
            elif near := nearest(name[:_LONGEST_TEXT], left):
                yield f"Did you mean {near!r}?"

    def _missing(self, names: list[str], unknown: list[str]) -> Iterator[str]:
        if names:
            yield f"{'It' if unknown else self.text} needs the parameter {_listed(names)}."
        if PARENT_RESULTS in names:
            yield "parent_results is passed to a job with dependencies."


def of(function: Function) -> Signature | None:
    """Return the signature of a function; None without one, as for some functions in C."""
    if not _Trust.is_given:
        return None
    try:
        return _known(function)
    except TypeError:  # an unhashable object cannot be cached
        return _read(function)


def note_worker_class(cls: type) -> None:
    """Stop checking parameters once a class of workers overrides `_import_function`.

    Such a worker may call another function than the one that was submitted.
    """
    if "_import_function" in vars(cls):
        _Trust.is_given = False


def _read(function: Function) -> Signature | None:
    try:
        # Not that of a wrapped function: a decorator may add or remove arguments.
        read = inspect.signature(function, follow_wrapped=False)
        parameters = list(read.parameters.values())
        name = getattr(function, "__qualname__", type(function).__name__)
    except Exception:  # noqa: BLE001 - a function's attributes may be anything
        return None
    named = [one for one in parameters if one.kind in _BY_NAME]
    accepted = frozenset(one.name for one in named)
    required = frozenset(one.name for one in named if one.default is one.empty)
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    by_position = (
        one.name
        for one in parameters
        if one.kind is one.POSITIONAL_ONLY and one.default is one.empty
    )
    return Signature(
        name,
        read,
        accepted,
        required,
        required - {PARENT_RESULTS},
        takes_any,
        takes_any or PARENT_RESULTS in accepted,
        next(by_position, None),
        set(),
    )


class _Annotation(str):
    """An annotation in the form of text, shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _without_quotes(read: inspect.Signature) -> inspect.Signature:
    parameters = [
        one.replace(annotation=_Annotation(one.annotation))
        if isinstance(one.annotation, str)
        else one
        for one in read.parameters.values()
    ]
    return read.replace(parameters=parameters, return_annotation=read.empty)


_known = lru_cache(maxsize=1024)(_read)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(codec.short, names[:_MOST_NAMES])) + more
