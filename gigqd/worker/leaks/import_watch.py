"""Detection of imports, whose effects on the process are not leaks of a job."""

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

# `import` and `importlib.import_module` call it for each module that is not loaded. A finder would
# not see the end of an import, and a replaced `builtins.__import__` would slow each statement.
_FIND_AND_LOAD = "_find_and_load"


class _ImportFlag(threading.local):
    """A flag for each thread: True while the thread imports a module."""

    importing = False


def watch_imports(begin: Callable[[], Any], end: Callable[[Any], None]) -> None:
    """Call two functions around each outermost import of a module that is not loaded yet.

    Args:
        begin: called before it.
        end: called after it, also after an error, with the result of `begin`.
    """
    bootstrap: Any = importlib._bootstrap
    load = getattr(bootstrap, _FIND_AND_LOAD)
    flag = _ImportFlag()

    def find_and_load(*args: Any) -> ModuleType:
        if flag.importing:
            return load(*args)  # type: ignore[no-any-return]
        flag.importing = True
        try:
            before = begin()
            try:
                return load(*args)  # type: ignore[no-any-return]
            finally:
                end(before)
        finally:
            flag.importing = False

    # Python leaves frames with this file name out of tracebacks, as of its import system.
    code = find_and_load.__code__.replace(co_filename=load.__code__.co_filename)
    find_and_load.__code__ = code
    setattr(bootstrap, _FIND_AND_LOAD, find_and_load)


class ContextWatch:
    """The context variables that imports set, to copy them out of the job's context."""

    def __init__(self) -> None:
        self._set: dict[ContextVar[Any], Any] = {}

    def snapshot(self) -> dict[ContextVar[Any], Any]:
        """Return the present values of the variables."""
        return {variable: _kept(value) for variable, value in copy_context().items()}

    def accept_since(self, snapshot: dict[ContextVar[Any], Any]) -> None:
        """Record the variables that an import has set."""
        missing = object()
        for variable, value in self.snapshot().items():
            if not _is_same(snapshot.get(variable, missing), value):
                self._set[variable] = value

    def apply(self) -> None:
        """Set the recorded variables in the worker's own context."""
        while self._set:
            variable, value = self._set.popitem()
            variable.set(value)


def _kept(value: Any) -> Any:
    """Return the value, or a copy of a decimal context, which code changes in place."""
    return value.copy() if _is_decimal_context(value) else value


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (_is_decimal_context(other) and repr(one) == repr(other))


def _is_decimal_context(value: Any) -> bool:
    context: Any = getattr(sys.modules.get("decimal"), "Context", None)
    return context is not None and isinstance(value, context)
