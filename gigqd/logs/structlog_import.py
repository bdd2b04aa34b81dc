"""Imports of structlog: its bound logger for the daemon, the whole of it for applications.

`import structlog` also loads asyncio and, where it is installed, rich. That would double the
time until a worker is ready (decision 46), so the daemon loads the module of the bound logger
alone. An application that imports structlog gets the whole package, set up to write to the
daemon's log.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_NAME = "structlog"
_CONTEXT = f"{_NAME}.contextvars"


def load_bound_logger() -> Any:
    """Return the class `structlog.BoundLoggerBase`."""
    try:
        with _package_not_executed():
            return import_module(f"{_NAME}._base").BoundLoggerBase
    except (ImportError, AttributeError):  # a release of structlog with other modules
        return import_module(_NAME).BoundLoggerBase


@contextmanager
def _package_not_executed() -> Iterator[None]:
    """Import submodules without the package's own code, and forget them at the end."""
    spec = find_spec(_NAME)
    if spec is None or _NAME in sys.modules:
        yield
        return
    sys.modules[_NAME] = module_from_spec(spec)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _NAME]:
            del sys.modules[name]


class _AfterImport:
    """A finder that calls a function once structlog is loaded."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of structlog; None for any other module."""
        if name != _NAME:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        load = loader.exec_module

        def load_and_then(module: ModuleType) -> None:
            load(module)
            self._then()

        loader.exec_module = load_and_then


def when_imported(then: Callable[[], None]) -> None:
    """Call a function now if structlog is loaded, or whenever it will be."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _AfterImport)]
    sys.meta_path.insert(0, _AfterImport(then))
    if _NAME in sys.modules:
        then()


def context() -> Mapping[str, Any]:
    """Return the fields that the application has bound to structlog's context variables."""
    loaded = sys.modules.get(_CONTEXT)
    return {} if loaded is None else loaded.get_contextvars()


def clear_context() -> None:
    """Remove those fields."""
    loaded = sys.modules.get(_CONTEXT)
    if loaded is not None:
        loaded.clear_contextvars()
