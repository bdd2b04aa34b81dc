"""The user's code: where it is, and a function of it by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq import functions
from gigq.errors import FunctionNotFound, GigqError

if TYPE_CHECKING:
    from collections.abc import Callable


def use_app_dir(folder: str) -> None:
    """Let modules in `folder` be imported, as `python -m` does for the working directory.

    Raises:
        FunctionNotFound: there is no such folder.
    """
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise FunctionNotFound(f"--app-dir {folder} is not a folder")
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


def function_at(place: str, app_dir: str) -> Callable[..., Any]:
    """The function that `module.function`, `module:function` or `script.py:function` names.

    Raises:
        FunctionNotFound: it is not there, or its module fails when it is imported.
    """
    use_app_dir(app_dir)
    try:
        return functions.load(functions.parse(place))
    except GigqError:
        raise
    # A module that leaves with sys.exit() must not take the command with it, exit code 0 and all.
    except (Exception, SystemExit) as error:
        raise FunctionNotFound(
            f"importing {place} failed: {type(error).__name__}: {error} (--debug shows where)"
        ) from error
