"""Job functions by name: the reference to a function, and the import of the function."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.errors import FunctionNotFound, FunctionNotImportable
from gigq.model import codec, module_name_conflicts, paths_with_links, scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    Found = tuple[ModuleType, Callable[..., Any]]

_MOVE_IT = "define it with def at the top level of a module"
_RENAMED = "was it renamed since the submit?"
_SUBMIT_AGAIN = (
    "a script submitted the job without its path, as GigQ 0.5.1 does; submit it again, or run it "
    "with a Worker in that script"
)
_NOT_PLAIN = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR

_found: dict[tuple[str, str], Found] = {}


class FunctionRef(NamedTuple):
    """A reference to a function.

    Attributes:
        module: the dotted module name; `__main__` when `file` names a script.
        name: the name in it, dotted for a static method.
        file: the absolute path of the script that defines it, or None.
    """

    module: str
    name: str
    file: str | None = None

    def __str__(self) -> str:
        """Return `module.name`, or `file:name` for a function of a script."""
        return f"{self.file}:{self.name}" if self.file else f"{self.module}.{self.name}"


def describe(function: Callable[..., Any]) -> FunctionRef:
    """Return the reference with which another process finds a function.

    Args:
        function: a function, static method, class or `task` that has a name of its own.

    Raises:
        FunctionNotImportable: it cannot be found by name; the message has the reason and remedy.
    """
    if problem := _problem(function):
        raise FunctionNotImportable(problem)
    name = function.__qualname__
    if function.__module__ in scripts.SCRIPT_MODULES:
        return _describe_script(function, name)
    _check_found(function, _imported(function.__module__, name), name)
    return FunctionRef(function.__module__, name)


def name_of(function: Callable[..., Any] | str) -> str:
    """Return `module:name` of a function, or the path of a script and the name; a text as it is.

    Raises:
        FunctionNotImportable: as for `describe`.
    """
    if isinstance(function, str):
        return function
    ref = describe(function)
    return f"{ref.file or ref.module}:{ref.name}"


def parse(text: str) -> FunctionRef:
    """Read `module:name` or `module.name` (`script.py:name` for a script).

    Raises:
        FunctionNotFound: the text has no module or no name.
    """
    module, _, name = text.rpartition(":" if ":" in text else ".")
    if not module or not name:
        raise FunctionNotFound(f"{text!r} names no function; write module:function")
    if module.endswith(".py"):
        return FunctionRef("__main__", name, paths_with_links.absolute(module))
    return FunctionRef(module, name)


def reference(module: str, name: str) -> FunctionRef:
    """Return the reference for a module name, which may be the absolute path of a script.

    Only an absolute path is a path: `myapp.py` is the module `py` of a package, never a file in the
    worker's current folder.
    """
    if module[:1] == os.sep:
        return FunctionRef("__main__", name, module)
    return FunctionRef(module, name)


def load(ref: FunctionRef) -> Callable[..., Any]:
    """Import the module, or load the script, and return the function.

    Raises:
        FunctionNotFound: there is no such module, script or name, or it is not callable.
        CodeConflict: this process has loaded other code of the same names.
        Exception: the exception of the module's import.
    """
    module = scripts.load(ref.file) if ref.file else _import(ref)
    without_path = ref.file is None and ref.module == "__main__"
    function = _attribute(module, ref.name, _SUBMIT_AGAIN if without_path else _RENAMED)
    if not callable(function):
        raise FunctionNotFound(f"{ref} is not a function; name one, or redeploy the code")
    return function  # type: ignore[no-any-return]


def find(module_name: str, name: str) -> Callable[..., Any]:
    """Return the function of a module, whose name may be a script's path; fast at later calls.

    A function that was found before is checked: the module may have been imported again since, or
    have another function under the name.
    """
    known = _found.get((module_name, name))
    if known is not None and _is_still_there(module_name, name, *known):
        return known[1]
    function = load(reference(module_name, name))
    module = sys.modules.get(module_name)
    if module is not None:
        _found[module_name, name] = (module, function)
    return function


def was_found(ref: FunctionRef) -> bool:
    """Return True when this process has found a function in a module before."""
    return ref.file is None and (ref.module, ref.name) in _found


def is_loaded(ref: FunctionRef) -> bool:
    """Return True when this process has loaded the module or the script of a function."""
    return was_found(ref) if ref.file is None else scripts.is_loaded(ref.file)


def conflict(ref: FunctionRef) -> str | None:
    """Return the reason why a function should be loaded in a new process, or None.

    The reason names the two places whose code would be mixed.
    """
    if was_found(ref):
        return None
    if ref.file is None:
        return module_name_conflicts.of_module(ref.module)
    if scripts.is_loaded(ref.file):
        return None
    folder = module_name_conflicts.another_folder(ref.file)
    return (
        module_name_conflicts.of_script(ref.file)
        if folder is None
        else f"{ref.file} beside {folder}"
    )


def _is_still_there(module_name: str, name: str, module: ModuleType, function: Any) -> bool:
    return sys.modules.get(module_name) is module and vars(module).get(name) is function


def _problem(function: Any) -> str | None:
    """Return the reason why a function can never be found by name, or None."""
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
    """Return True for a usual function, which needs no further checks."""
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
    module, loaded_from = scripts.module_of(inspect.unwrap(function))
    _check_found(function, _attribute_or_none(module, name), name)
    if loaded_from is not None:
        return FunctionRef("__main__", name, loaded_from)
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name not in scripts.SCRIPT_MODULES:
        return FunctionRef(spec.name, name)
    file = getattr(module, "__file__", None)
    if not file or not os.path.isfile(file):  # noqa: PTH113 - at every submit of a script
        raise FunctionNotImportable(_why_not_in_a_file(name, file))
    path = paths_with_links.of_main(file)
    if not codec.is_unicode(path):
        raise FunctionNotImportable(
            f"{name} is defined in {path!r}, a path that is not UTF-8 and cannot be stored; rename "
            "the folder or the file"
        )
    return FunctionRef("__main__", name, path)


def _why_not_in_a_file(name: str, file: str | None) -> str:
    archive = paths_with_links.archive_of(file) if file else None
    if archive is not None:
        return (
            f"{name} is defined in the __main__ of the archive {archive}, which a worker cannot "
            "load for its functions; move it to another module of the archive, and let the worker "
            "import from the archive (PYTHONPATH, or python_path of gigqd)"
        )
    return (
        f"{name} is defined at an interactive prompt or by -c, where no worker can find it; "
        "put it in a file"
    )


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
        # Equal, not identical: each access to a class method makes another object.
        if found == function:
            return
        # In the module, a task or another decorator has the function's own name.
        found = getattr(found, "__wrapped__", None)
    raise FunctionNotImportable(
        f"{_shown(function)} is not what its module has under the name {name!r}; {_MOVE_IT}"
    )


def _import(ref: FunctionRef) -> ModuleType:
    main = scripts.own_main()
    if getattr(getattr(main, "__spec__", None), "name", None) == ref.module:
        assert main is not None
        return main
    module_name_conflicts.refuse_module(ref.module)
    try:
        with scripts.loading(ref.module):
            return importlib.import_module(ref.module)
    except ModuleNotFoundError as error:
        # Only if this module, or a package above it, is the missing one.
        if error.name and f"{ref.module}.".startswith(f"{error.name}."):
            raise FunctionNotFound(
                f"there is no module {error.name!r} for {ref}",
                "is it installed, and on the worker's path?",
            ) from error
        raise


def _attribute(module: ModuleType, name: str, remedy: str = _RENAMED) -> Any:
    found: Any = module
    for part in name.split("."):
        # Dots lead through classes only, never to a module that the named one has imported.
        if not (found is module or isinstance(found, type)) or not hasattr(found, part):
            raise _not_in(module, name, remedy)
        found = getattr(found, part)
    return found


def _not_in(module: ModuleType, name: str, remedy: str) -> FunctionNotFound:
    place = getattr(module, "__file__", None) or "built in"
    problem = f"{module.__name__} ({place}) has no function {name!r}"
    hidden = module_name_conflicts.hidden_by(module)
    if hidden is None:
        return FunctionNotFound(problem, remedy)
    return FunctionNotFound(
        f"{problem}; {hidden} has this name too, and the process had loaded the other one before; "
        "rename it"
    )


def _attribute_or_none(module: ModuleType, name: str) -> Any:
    try:
        return _attribute(module, name)
    except FunctionNotFound:
        return None


def _shown(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    text = f"{getattr(function, '__module__', '?')}.{name}" if name else repr(function)
    return text if len(text) <= 120 else text[:117] + "..."
