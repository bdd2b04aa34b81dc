"""Job functions by name: how a function is written down, found again and allowed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from gigq import codec
from gigq.errors import FunctionNotFound, FunctionNotImportable

if TYPE_CHECKING:
    from collections.abc import Callable

    Found = tuple[ModuleType, Callable[..., Any]]

SCRIPT_MODULES = ("__main__", "__mp_main__")
"""Names of the module that a script is: when it is run, and when a worker loads it."""

_MOVE_IT = "define it with def at the top level of a module"
_NOT_PLAIN = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR

_scripts: dict[str | None, ModuleType] = {}
_found: dict[tuple[str, str], Found] = {}
_loading = threading.RLock()


class _Here(threading.local):
    """What this thread is doing."""

    script: str | None = None


_here = _Here()


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """Where a function is found again.

    Attributes:
        module: the dotted module name; `__main__` when `file` names a script.
        name: the name in it, dotted for a static method.
        file: the absolute path of the script that defines it, or None.
    """

    module: str
    name: str
    file: str | None = None

    def __str__(self) -> str:
        """`module.name`, or `file:name` for a function of a script."""
        return f"{self.file}:{self.name}" if self.file else f"{self.module}.{self.name}"


def describe(function: Callable[..., Any]) -> FunctionRef:
    """Write down where another process finds a function.

    Args:
        function: a function, static method, class or `task` that has a name of its own.

    Raises:
        FunctionNotImportable: it cannot be found by name; the message says why and the remedy.
    """
    if problem := _problem(function):
        raise FunctionNotImportable(problem)
    name = function.__qualname__
    if function.__module__ in SCRIPT_MODULES:
        return _describe_script(function, name)
    _check_found(function, _imported(function.__module__, name), name)
    return FunctionRef(function.__module__, name)


def parse(text: str) -> FunctionRef:
    """Read `module:name` or `module.name` (`script.py:name` for a script).

    Raises:
        FunctionNotFound: the text has no module or no name.
    """
    module, _, name = text.rpartition(":" if ":" in text else ".")
    if not module or not name:
        raise FunctionNotFound(f"{text!r} names no function; write module:function")
    return _script_reference(module, name) if module.endswith(".py") else FunctionRef(module, name)


def reference(module: str, name: str) -> FunctionRef:
    """The reference for a module name that may be the absolute path of a script.

    Only an absolute path is one: `myapp.py` is the module `py` of a package, never a file in
    whatever folder the worker runs in.
    """
    return _script_reference(module, name) if module[:1] == os.sep else FunctionRef(module, name)


def _script_reference(path: str, name: str) -> FunctionRef:
    return FunctionRef("__main__", name, str(Path(path).resolve()))


def load(ref: FunctionRef) -> Callable[..., Any]:
    """Import the module, or load the script, and return the function.

    Raises:
        FunctionNotFound: there is no such module, script or name, or it is not callable.
        Exception: whatever the module raises while it is imported.
    """
    module = _load_script(ref.file) if ref.file else _import(ref)
    function = _attribute(module, ref.name)
    if not callable(function):
        raise FunctionNotFound(f"{ref} is not a function; name one, or redeploy the code")
    return function  # type: ignore[no-any-return]


def find(module_name: str, name: str) -> Callable[..., Any]:
    """The function of a module name that may be a script's path: as `load`, fast at later times.

    What was found before is only looked at again: the module may have been imported anew since,
    or have another function under the name.
    """
    known = _found.get((module_name, name))
    if known is not None and _is_still_there(module_name, name, *known):
        return known[1]
    function = load(reference(module_name, name))
    module = sys.modules.get(module_name)
    if module is not None:
        _found[module_name, name] = (module, function)
    return function


def refuse_while_loading() -> None:
    """Refuse to go on in the lines of a script that a worker is just loading for a function.

    Raises:
        FunctionNotImportable: they would submit or work again at every load, without an end.
    """
    if _here.script:
        raise FunctionNotImportable(
            f"{_here.script} submits or works off jobs when a worker loads it to find its "
            'functions; put that under `if __name__ == "__main__":`'
        )


def _is_still_there(module_name: str, name: str, module: ModuleType, function: Any) -> bool:
    return sys.modules.get(module_name) is module and vars(module).get(name) is function


def _problem(function: Any) -> str | None:
    """Why a function can never be found by name, or None."""
    if _is_plain(function):
        return None
    shown = _shown(function)
    if not callable(function):
        return f"{shown} is not callable; pass the function itself"
    if isinstance(function, functools.partial):
        return f"{shown} has no name of its own; pass the function and put its arguments in params"
    name = getattr(function, "__qualname__", None)
    if not name or not getattr(function, "__module__", None):
        return f"{shown} has no module and name by which a worker could find it; {_MOVE_IT}"
    if "<lambda>" in name:
        return f"a lambda has no name by which a worker could find it; {_MOVE_IT}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{shown} is async, and jobs are plain calls; wrap it: asyncio.run({name}(...))"
    if inspect.isgeneratorfunction(function):
        return f"{shown} is a generator, which does nothing when called; return a list instead"
    return _unreachable(function, name, shown)


def _is_plain(function: Any) -> bool:
    """Whether it is a function without anything that needs a closer look, as most are."""
    return (
        type(function) is FunctionType
        and not function.__code__.co_flags & _NOT_PLAIN
        and not function.__dict__
        and "<" not in function.__qualname__
        and bool(function.__module__)
    )


def _unreachable(function: Any, name: str, shown: str) -> str | None:
    if "<locals>" in name:
        return f"{shown} is defined inside another function; {_MOVE_IT}"
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, type | ModuleType):
        return None
    return (
        f"{shown} is bound to an object that a worker does not have; "
        f"{_MOVE_IT} and pass what it needs as params"
    )


def _describe_script(function: Callable[..., Any], name: str) -> FunctionRef:
    module = _script_module(function)
    _check_found(function, _attribute_or_none(module, name), name)
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name not in SCRIPT_MODULES:
        return FunctionRef(spec.name, name)
    file = getattr(module, "__file__", None)
    if not file or not os.path.isfile(file):  # noqa: PTH113 - at every submit of a script
        raise FunctionNotImportable(
            f"{name} is defined at an interactive prompt or by -c, where no worker can find it; "
            "put it in a file"
        )
    path = _resolved(file) if file[0] == os.sep else _real(file)
    if not codec.is_unicode(path):
        raise FunctionNotImportable(
            f"{name} is defined in {path!r}, a path that is not UTF-8 and cannot be stored; rename "
            "the folder or the file"
        )
    return FunctionRef("__main__", name, path)


def _real(file: str) -> str:
    return str(Path(file).resolve())


# Not for a relative name, which means another file in another folder.
_resolved = functools.cache(_real)


def _script_module(function: Callable[..., Any]) -> ModuleType:
    """The script a function comes from; a worker may have loaded several under one name."""
    file = getattr(inspect.unwrap(function), "__globals__", {}).get("__file__")
    return _scripts.get(file) or sys.modules[function.__module__]


def _imported(module_name: str, name: str) -> Any:
    module = sys.modules.get(module_name)
    if module is None:
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise FunctionNotImportable(
                f"{name} says it comes from module {module_name!r}, which cannot be imported "
                f"({error}); {_MOVE_IT}"
            ) from error
    return _attribute_or_none(module, name)


def _check_found(function: Any, found: Any, name: str) -> None:
    while found is not None:
        # Equal and not the same: a class method is bound anew by every look.
        if found == function:
            return
        # A task or another decorator stands in the module under the function's own name.
        found = getattr(found, "__wrapped__", None)
    raise FunctionNotImportable(
        f"{_shown(function)} is not what its module has under the name {name!r}; {_MOVE_IT}"
    )


def _import(ref: FunctionRef) -> ModuleType:
    main = sys.modules.get("__main__")
    if getattr(getattr(main, "__spec__", None), "name", None) == ref.module:
        assert main is not None
        return main
    try:
        return importlib.import_module(ref.module)
    except ModuleNotFoundError as error:
        # Only when it is this module, or a package above it, that is missing.
        if error.name and f"{ref.module}.".startswith(f"{error.name}."):
            raise FunctionNotFound(
                f"there is no module {error.name!r} for {ref}; "
                "is it installed, and on the worker's path?"
            ) from error
        raise


def _load_script(file: str) -> ModuleType:
    """Load a script as multiprocessing does: once, under a name that is not `__main__`."""
    main = sys.modules.get("__main__")
    if main is not None and _is_file_of(main, file):
        return main
    with _loading:
        if file not in _scripts:
            _scripts[file] = _execute(file)
        return _scripts[file]


def _is_file_of(module: ModuleType, file: str) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and str(Path(own).resolve()) == file


def _execute(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("__mp_main__", file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise FunctionNotFound(f"there is no script {file}; was it moved since the submit?")
    module = importlib.util.module_from_spec(spec)
    folder = str(Path(file).parent)
    if folder not in sys.path:
        # The script's own imports: Python puts its folder on the path when it runs it.
        sys.path.insert(0, folder)
    sys.modules["__mp_main__"] = module
    outer, _here.script = _here.script, file
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["__mp_main__"]
        raise
    finally:
        _here.script = outer
    return module


def _attribute(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        # Dots lead through classes only: a module imported by the named one stays out of reach.
        if not (found is module or isinstance(found, type)) or not hasattr(found, part):
            raise FunctionNotFound(
                f"{module.__name__} ({getattr(module, '__file__', None) or 'built in'}) "
                f"has no function {name!r}; was it renamed since the submit?"
            )
        found = getattr(found, part)
    return found


def _attribute_or_none(module: ModuleType, name: str) -> Any:
    try:
        return _attribute(module, name)
    except FunctionNotFound:
        return None


def _shown(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    text = f"{getattr(function, '__module__', '?')}.{name}" if name else repr(function)
    return text if len(text) <= 120 else text[:117] + "..."
