"""Notices imports, so that what a module sets at its top is not taken for what a job has left."""

from __future__ import annotations

import importlib
import sys
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import ContextVar
    from types import ModuleType

# Both `import` and `importlib.import_module` call it, and only for a module that is not loaded.
# A finder would see the beginning of an import and not its end; a `builtins.__import__` of our
# own would cost each import statement, and would not see `import_module`.
_FIND_AND_LOAD = "_find_and_load"


class _Here(threading.local):
    """A mark of each thread: True while the thread imports a module."""

    importing = False


def watch_imports(begin: Callable[[], Any], end: Callable[[Any], None]) -> None:
    """Call two functions around each outermost import of a module that is not loaded yet.

    Args:
        begin: called before it.
        end: called after it, whether it went well or not, with what `begin` has returned.
    """
    bootstrap: Any = importlib._bootstrap
    load = getattr(bootstrap, _FIND_AND_LOAD)
    here = _Here()

    def find_and_load(*args: Any) -> ModuleType:
        if here.importing:
            return load(*args)  # type: ignore[no-any-return]
        here.importing = True
        try:
            before = begin()
            try:
                return load(*args)  # type: ignore[no-any-return]
            finally:
                end(before)
        finally:
            here.importing = False

    # Python leaves the frames of its own import system out of tracebacks, and so this one.
    code = find_and_load.__code__.replace(co_filename=load.__code__.co_filename)
    find_and_load.__code__ = code
    setattr(bootstrap, _FIND_AND_LOAD, find_and_load)


class ContextWatch:
    """Carries the context variables that a module sets at its top out of the job's own context."""

    def __init__(self) -> None:
        self._set: dict[ContextVar[Any], Any] = {}

    def mark(self) -> dict[ContextVar[Any], Any]:
        """Return the variables as they are now."""
        return {variable: _kept(value) for variable, value in copy_context().items()}

    def accept_since(self, mark: dict[ContextVar[Any], Any]) -> None:
        """Remember the variables that an import has set."""
        missing = object()
        for variable, value in self.mark().items():
            if not _is_same(mark.get(variable, missing), value):
                self._set[variable] = value

    def apply(self) -> None:
        """Set what was remembered here, in the worker's own context."""
        while self._set:
            variable, value = self._set.popitem()
            variable.set(value)


def _kept(value: Any) -> Any:
    """Return the value, or a copy of what is changed in place."""
    return value.copy() if _is_decimal_context(value) else value


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (_is_decimal_context(other) and repr(one) == repr(other))


def _is_decimal_context(value: Any) -> bool:
    decimal: Any = sys.modules.get("decimal")
    return decimal is not None and isinstance(value, decimal.Context)
