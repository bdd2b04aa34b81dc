"""Scripts: loaded for their functions, and made the main module while their jobs run."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gigq.errors import FunctionNotFound, FunctionNotImportable
from gigq.model import module_name_conflicts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_MAIN: Final = "__main__"
_LOADED: Final = "__mp_main__"

SCRIPT_MODULES = (_MAIN, _LOADED)
"""Names of a script's module: when Python runs it, and while a worker loads it."""

_scripts: dict[str, ModuleType] = {}
_loading_lock = threading.RLock()


class _Load(NamedTuple):
    """The load of a script or a module, to find its functions.

    Attributes:
        thread: the thread that loads it.
        frame: the function that loads it.
        code: the path of the script, or the name of the module.
    """

    thread: int
    frame: FrameType
    code: str


_loads: list[_Load] = []
"""The loads in progress in this process."""


@contextmanager
def loading(code: str) -> Iterator[None]:
    """Refuse submits and workers at the top level of some code while it is loaded.

    Args:
        code: the path of the script, or the name of the module.
    """
    load = _Load(threading.get_ident(), sys._getframe(2), code)
    _loads.append(load)
    try:
        yield
    finally:
        with suppress(ValueError):  # a forked child has no loads of other threads
            _loads.remove(load)


def refuse_while_loading() -> None:
    """Refuse to submit or to work at the top level of code that is being loaded.

    Raises:
        FunctionNotImportable: every load would submit or work again, without an end.
    """
    code = _code_being_loaded() if _loads else None
    if code is not None:
        raise FunctionNotImportable(
            f"{code} submits or works off jobs when a worker loads it to find its "
            'functions; put that under `if __name__ == "__main__":`'
        )


def _code_being_loaded() -> str | None:
    """Return the code being loaded by this thread, or that defines a function of its stack.

    The top level of that code may have started this thread.
    """
    here = threading.get_ident()
    own = {id(frame.f_globals) for frame in _frames(sys._getframe())}
    stacks = sys._current_frames()
    for load in reversed(_loads):
        if load.thread == here or any(
            frame.f_code.co_name == "<module>" and id(frame.f_globals) in own
            for frame in _frames(stacks.get(load.thread), load.frame)
        ):
            return load.code
    return None


def _frames(frame: FrameType | None, end: FrameType | None = None) -> Iterator[FrameType]:
    """Yield a frame and its callers, up to one of them."""
    while frame is not None and frame is not end:
        yield frame
        frame = frame.f_back


def load(file: str) -> ModuleType:
    """Load a script once, as multiprocessing does: `__name__` is not `"__main__"` in it.

    Args:
        file: its absolute path.

    Raises:
        FunctionNotFound: there is no such script.
        CodeConflict: this process has loaded other code of the same names.
        BaseException: the exception of the script.
    """
    known = _scripts.get(file)
    if known is not None:
        return known
    with _loading_lock:
        if file not in _scripts:
            _scripts[file] = _own_main_of(file) or _executed(file)
        return _scripts[file]


def is_loaded(file: str) -> bool:
    """Return True when this process has loaded a script, or is that script."""
    return file in _scripts or _own_main_of(file) is not None


def module_of(function: Any) -> tuple[ModuleType, str | None]:
    """Return the script that defines a function, and its path if this process loaded it."""
    file = getattr(function, "__globals__", {}).get("__file__")
    module = _scripts.get(file) if file else None
    return (sys.modules[function.__module__], None) if module is None else (module, file)


def own_main() -> ModuleType | None:
    """Return the process's own main module, also while a job's script replaces it."""
    return _main.own or sys.modules.get(_MAIN)


class JobOfScript:
    """A job of a script, which is the main module during the job, with its folder on the path.

    So `pickle`, and the processes that `multiprocessing` starts, find the script's functions and
    classes under the name `__main__`, as when the script is run.

    Args:
        file: the absolute path of the script.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._module: ModuleType | None = None

    def begin(self) -> None:
        """Make the script the main module, unless the process itself is that script.

        Raises:
            CodeConflict: its modules would be mixed with those of another folder.
        """
        module = _scripts.get(self._file)
        if module is not None and module is not own_main():
            module_name_conflicts.refuse_job(self._file)
            self._module = module
            _main.enter(module)

    def end(self) -> None:
        """Undo what `begin` did."""
        if self._module is not None:
            _main.leave(self._module)


class _MainModule:
    """The module `__main__`: the script of the job that began last, or the process's own."""

    def __init__(self) -> None:
        self.own: ModuleType | None = None
        self._lock = threading.Lock()
        self._in_use: list[ModuleType] = []
        self._folders: list[str] = []  # those that were put on the path

    def enter(self, module: ModuleType) -> None:
        folder = module_name_conflicts.folder_of(str(module.__file__))
        with self._lock:
            if not self._in_use:
                self.own = sys.modules[_MAIN]
            self._in_use.append(module)
            self._show(module)
            if folder not in sys.path or folder in self._folders:
                # Python does the same when it runs a script.
                sys.path.insert(0, folder)
                self._folders.append(folder)

    def leave(self, module: ModuleType) -> None:
        folder = module_name_conflicts.folder_of(str(module.__file__))
        with self._lock:
            # A forked child, or a thread that a job left running, may have left already.
            with suppress(ValueError):
                self._in_use.remove(module)
            if folder in self._folders:
                self._folders.remove(folder)
                with suppress(ValueError):
                    sys.path.remove(folder)
            main = self._in_use[-1] if self._in_use else self.own
            if main is not None:
                self._show(main)
            if not self._in_use:
                self.own = None

    @staticmethod
    def _show(module: ModuleType) -> None:
        sys.modules[_MAIN] = sys.modules[_LOADED] = module


_main = _MainModule()


def _renew_lock_in_child() -> None:
    global _loading_lock  # noqa: PLW0603 - at the fork another thread may have held it
    _loading_lock = threading.RLock()
    _main._lock = threading.Lock()
    here = threading.get_ident()
    _loads[:] = [load for load in _loads if load.thread == here]


os.register_at_fork(after_in_child=_renew_lock_in_child)


def _own_main_of(file: str) -> ModuleType | None:
    """Return the process's main module if it has the given file."""
    main = own_main()
    own = getattr(main, "__file__", None)
    return main if own and os.path.realpath(own) == os.path.realpath(file) else None


def _executed(file: str) -> ModuleType:
    if not os.path.isfile(file):  # noqa: PTH113
        raise FunctionNotFound(f"there is no script {file}", "was it moved since the submit?")
    module_name_conflicts.refuse_script(file)
    loader = SourceFileLoader(_LOADED, file)
    spec = spec_from_file_location(_LOADED, file, loader=loader)
    assert spec is not None, "with a loader there is always one"
    module = module_from_spec(spec)
    # The main module has none: so multiprocessing recognizes a script.
    module.__spec__ = None
    # Compiled each time, as Python does with the script that it runs.
    code = loader.source_to_code(loader.get_data(file), file)
    module_name_conflicts.note_script(file)
    _main.enter(module)
    try:
        with loading(file):
            exec(code, module.__dict__)  # noqa: S102 - the script of a job
    finally:
        _main.leave(module)
    _rename_contents(module)
    return module


def _rename_contents(module: ModuleType) -> None:
    """Name a script and its definitions `__main__`, as pickles refer to them."""
    module.__name__ = _MAIN
    todo, seen = [module.__dict__], set[int]()
    while todo:
        for value in list(todo.pop().values()):
            kind = type(value)
            if id(value) in seen or not _names_script(value):
                continue
            seen.add(id(value))
            with suppress(Exception):  # a metaclass may refuse
                if kind is FunctionType or issubclass(kind, type):
                    value.__module__ = _MAIN
                else:
                    _attributes(value)["__module__"] = _MAIN
            if issubclass(kind, type):
                todo.append(_attributes(value))


def _names_script(value: Any) -> bool:
    """Return True when a value's own `__module__` is a script that is being loaded."""
    if type(value) is FunctionType:
        return value.__module__ == _LOADED
    name = _attributes(value).get("__module__")
    return type(name) is str and name == _LOADED


def _attributes(value: Any) -> Any:
    """Return a value's own attributes, even if its class overrides the access."""
    if issubclass(type(value), type):
        return type.__dict__["__dict__"].__get__(value)
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001 - it has none, or they are not to be read
        return {}
    return found if type(found) is dict else {}
