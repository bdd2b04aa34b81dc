"""What a job's own structlog writes comes to the daemon's log; the daemon loads it for nobody else.

structlog takes as long to import as the rest of a worker, and megabytes of each process. So it is
looked for among the modules that are loaded, and set up in the moment in which a job imports it.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NAME = "structlog"


class _AtImport:
    """Finds structlog as others would, and has something done once it is loaded."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where structlog is; nothing for any other module."""
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


def when_loaded(then: Callable[[], None]) -> None:
    """Call a function now if structlog is loaded, or whenever it will be."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _AtImport)]
    sys.meta_path.insert(0, _AtImport(then))
    if _NAME in sys.modules:
        then()


def context() -> Mapping[str, Any]:
    """What a job has bound to structlog's context variables."""
    loaded = sys.modules.get(f"{_NAME}.contextvars")
    return {} if loaded is None else loaded.get_contextvars()


def clear_context() -> None:
    """Forget what was bound there."""
    loaded = sys.modules.get(f"{_NAME}.contextvars")
    if loaded is not None:
        loaded.clear_contextvars()
