"""Conflicts of modules: one process can load only one module of a name.

A script imports the modules beside it. If the process has loaded other modules of these names, the
script would get those, without an error.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from gigq.errors import CodeConflict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_REMEDY = "rename one of them, or let gigqd run the jobs, which gives each folder its own workers"
_WITHOUT_FILE = frozenset({"built-in", "frozen"})

_folders: dict[str, None] = {}
"""The folders of the scripts that this process has loaded."""


@lru_cache(maxsize=256)
def folder_of(file: str) -> str:
    """Return the folder that Python adds to the path when it runs a script: links are resolved."""
    return _current_folder_of(file)


def note_script(file: str) -> None:
    """Remember the folder of a script that is loaded in this process."""
    _folders[_current_folder_of(file)] = None


def refuse_script(file: str) -> None:
    """Refuse to load a script if it would import other modules than those beside it.

    Raises:
        CodeConflict: this process has loaded others of the same names.
    """
    if problem := of_script(file):
        raise CodeConflict(problem)


def refuse_job(file: str) -> None:
    """Refuse to run a job of a loaded script if another folder's modules were loaded since.

    Raises:
        CodeConflict: loaded modules have the names of modules beside the script.
    """
    if len(_folders) > 1 and (problem := _of_folder(folder_of(file))):
        raise CodeConflict(problem)


def refuse_module(module: str) -> None:
    """Refuse to import a module for a job if the modules of a script would take its place.

    Raises:
        CodeConflict: modules beside the script hide others of the same names.
    """
    if problem := of_module(module):
        raise CodeConflict(problem)


def hidden_by(module: ModuleType) -> str | None:
    """Return the file that an import would find under a module's name if it were not loaded yet.

    A process has loaded modules of the standard library, so an application's own ones of these
    names are not found.

    Returns:
        The file of a top-level module or package; None when it is the one that is loaded.
    """
    name = module.__name__.partition(".")[0]
    spec = None if name.startswith("__") else PathFinder.find_spec(name)
    if spec is None or not spec.origin:
        return None
    loaded = _file_of(name)
    same = loaded is not None and os.path.realpath(loaded) == os.path.realpath(spec.origin)
    return None if same else spec.origin


def another_folder(file: str) -> str | None:
    """Return the folder of a script that is loaded here, if it is not that of `file`; or None."""
    folder = _current_folder_of(file)
    return next((other for other in _folders if other != folder), None)


def of_script(file: str) -> str | None:
    """Return the reason why a script cannot be loaded in this process, or None."""
    folder = _current_folder_of(file)
    if problem := _of_folder(folder):
        return problem
    for name, own in _imports_beside(file, folder):
        other = _file_of(name)
        if other is not None and os.path.realpath(other) != os.path.realpath(own):
            return _mixed(name, own, other)
    return None


def of_module(module: str) -> str | None:
    """Return the reason why a module cannot be imported for a job in this process, or None."""
    for folder in _folders:
        if folder in sys.path:
            continue
        for name, own in _loaded_from(folder):
            spec = PathFinder.find_spec(name)
            if spec is not None and spec.origin and os.path.realpath(spec.origin) != own:
                return f"module {module}: {_mixed(name, spec.origin, own)}"
    return None


def _of_folder(folder: str) -> str | None:
    for other in _folders:
        if other != folder:
            for name, loaded in _loaded_from(other):
                own = _beside(folder, name)
                if own is not None and os.path.realpath(own) != loaded:
                    return _mixed(name, own, loaded)
    return None


def _mixed(name: str, own: str, loaded: str) -> str:
    return (
        f"its code may import {name} from {own}, and this process has loaded {loaded} under that "
        f"name; {_REMEDY}"
    )


def _current_folder_of(file: str) -> str:
    # Not cached: a link in the path may lead to another release by now.
    return os.path.dirname(os.path.realpath(file))  # noqa: PTH120


def _loaded_from(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the top-level modules that were loaded from a folder, with their files."""
    for name in list(sys.modules):
        if "." not in name and not name.startswith("__"):
            file = _file_of(name)
            if file is not None and file.startswith(f"{folder}{os.sep}"):
                yield name, file


def _imports_beside(file: str, folder: str) -> Iterator[tuple[str, str]]:
    """Yield the modules in a script's folder that it imports, directly or in turn."""
    todo, seen = [file], set[str]()
    while todo:
        for name in _imported_names(todo.pop()):
            own = None if name in seen else _beside(folder, name)
            seen.add(name)
            if own is not None:
                todo.append(own)
                yield name, own


def _beside(folder: str, name: str) -> str | None:
    for own in (f"{folder}/{name}/__init__.py", f"{folder}/{name}.py"):
        if os.path.isfile(own):  # noqa: PTH113
            return own
    return None


def _imported_names(file: str) -> set[str]:
    """Return the first parts of the names of all modules that a file imports."""
    import ast  # late: only a process that loads scripts needs it

    try:
        with open(file, "rb") as source:  # noqa: PTH123
            tree = ast.parse(source.read())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return set()  # loading the file reports the error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _file_of(name: str) -> str | None:
    """Return the file of a loaded module; None for a built-in or frozen one."""
    try:  # not `getattr`, at which a lazy module would load itself
        attributes = object.__getattribute__(sys.modules[name], "__dict__")
        file, spec = attributes.get("__file__"), attributes.get("__spec__")
    except (AttributeError, KeyError):
        return None
    return file if isinstance(file, str) and _origin(spec) not in _WITHOUT_FILE else None


def _origin(spec: object) -> object:
    return getattr(spec, "origin", None)
