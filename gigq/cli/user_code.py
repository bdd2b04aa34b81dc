"""Load the user's code: its folder, its settings, and a function by name."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq.cli.arguments import at_home, near
from gigq.cli.configuration import code_of
from gigq.errors import FunctionNotFound, GigqError
from gigq.model import function_import, scripts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def use_code(args: argparse.Namespace, hooks: str | None = None) -> str | None:
    """Set up and import the application as the options and the configuration say.

    Args:
        args: with `app_dir`, `imports`, `config` and `db`.
        hooks: the module of the hooks, when an option names it.

    Returns:
        The module of the hooks, or None.

    Raises:
        FunctionNotFound: a folder does not exist, or an import fails.
        OptionsError: the configuration cannot be read.
    """
    code = code_of(args)
    os.environ.update(code.environment)
    sys.path[:0] = [folder for folder in code.python_path if folder not in sys.path]
    use_app_dir(args.app_dir)
    hooks = hooks or code.hooks or None
    for module in (*args.imports, *filter(None, [hooks]), *code.imports):
        _import(module)
    return hooks


def _import(module: str) -> None:
    try:
        with scripts.loading(module):
            importlib.import_module(module)
    # A module that calls sys.exit() must not end the command, perhaps with exit code 0.
    except (Exception, SystemExit) as error:
        raise _import_failed(module, error) from error


def _import_failed(what: str, error: BaseException) -> FunctionNotFound:
    kind = type(error).__name__
    return FunctionNotFound(f"importing {what} failed: {kind}: {error} (--debug shows where)")


def use_app_dir(folder: str) -> None:
    """Make modules in `folder` importable, as `python -m` does for the working directory.

    Raises:
        FunctionNotFound: there is no such folder.
    """
    path = Path(at_home(folder)).resolve()
    if not path.is_dir():
        raise FunctionNotFound(f"--app-dir {folder} is not a folder")
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


def _hint(ref: function_import.FunctionRef) -> str:
    """Return the end of a message that helps with a mistyped function."""
    if ref.file:
        module = scripts.load(ref.file) if scripts.is_loaded(ref.file) else None
    else:
        module = sys.modules.get(ref.module)
    if module is not None:
        return near(ref.name, [name for name, value in vars(module).items() if callable(value)])
    return "" if ref.file else "; is it in the working directory or --app-dir?"


def function_at(place: str, app_dir: str) -> Callable[..., Any]:
    """Return the function that `module.function`, `module:function` or `script.py:function` names.

    Raises:
        FunctionNotFound: it does not exist, or the import of its module fails.
    """
    use_app_dir(app_dir)
    ref = function_import.parse(place)
    try:
        return function_import.load(ref)
    except FunctionNotFound as error:
        if not error.problem:
            raise
        raise FunctionNotFound(f"{error.problem}{_hint(ref)}") from error
    except GigqError:
        raise
    except (Exception, SystemExit) as error:
        raise _import_failed(place, error) from error
