"""The operator's allow list: the functions that a worker may import.

Any account that can write the database may have written a row, so its reference is compared as it
is stored. A reference that is neither a plain dotted name nor a plain absolute path is refused and
never normalised: a path with `..` may fit a pattern of one folder and name a file of another.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gigq.errors import FunctionNotAllowed
from gigq.model.function_import import FunctionRef
from gigq.model.scripts import SCRIPT_MODULES, own_main

if TYPE_CHECKING:
    from collections.abc import Callable

_ODD_PARTS = ("", ".", "..")


def check(ref: FunctionRef, patterns: tuple[str, ...]) -> None:
    """Refuse a reference before its module is imported or its script is read.

    Args:
        ref: the reference as the row has it.
        patterns: shell-style patterns of `module.name`, or of the path of a script if they begin
            with a slash. "*" matches both.

    Raises:
        FunctionNotAllowed: it is malformed, or no pattern matches it.
    """
    if refusal := _refusal(ref.module, ref.name, ref.file, patterns):
        raise FunctionNotAllowed(refusal)


def allows(ref: FunctionRef, patterns: tuple[str, ...]) -> bool:
    """Return True when `check` accepts the reference."""
    return _refusal(ref.module, ref.name, ref.file, patterns) is None


def check_found(function: Callable[..., Any], ref: FunctionRef, patterns: tuple[str, ...]) -> None:
    """Refuse a function that an allowed module has imported from another one.

    Args:
        function: the object to which the reference led.
        ref: a reference that `check` accepted.
        patterns: as for `check`.

    Raises:
        FunctionNotAllowed: no pattern matches the module that defines the function.
    """
    check(own_reference(function, ref), patterns)


def own_reference(function: Callable[..., Any], ref: FunctionRef) -> FunctionRef:
    """Return the reference of the place where a loaded function is defined."""
    module = _home_of(function) or ref.module
    if module in SCRIPT_MODULES and (ref.file or _is_main(ref.module)):
        return ref
    return FunctionRef(module, getattr(function, "__qualname__", None) or ref.name)


@lru_cache(maxsize=1000)
def _refusal(module: str, name: str, file: str | None, patterns: tuple[str, ...]) -> str | None:
    ref = FunctionRef(module, name, file)
    if problem := _malformed(ref):
        return f"an allow list is set, and {problem}; submit the function itself"
    if any(_covers(pattern, ref) for pattern in patterns):
        return None
    needed = f"{module}.{name}" if file is None else file
    return (
        f"{ref} is not among the functions that this worker may run "
        f"({', '.join(patterns) or 'none'}); add {needed!r} to the allow list, or move the function"
    )


def _covers(pattern: str, ref: FunctionRef) -> bool:
    """Return True when a pattern matches; a pattern of modules matches no script by accident."""
    if ref.file is None:
        return fnmatchcase(f"{ref.module}.{ref.name}", pattern)
    return pattern == "*" or (pattern.startswith("/") and fnmatchcase(ref.file, pattern))


def _malformed(ref: FunctionRef) -> str | None:
    """Return the reason why `submit` stores no such reference, or None."""
    if not _is_dotted(ref.module):
        return f"the module {ref.module!r} is not a dotted name of identifiers"
    if not _is_dotted(ref.name):
        return f"the function {ref.name!r} is not a dotted name of identifiers"
    if any(part[:2] == part[-2:] == "__" for part in ref.name.split(".")):
        return f"the function {ref.name!r} names an internal of Python"
    if ref.file is None:
        return None
    return _malformed_script(ref)


def _malformed_script(ref: FunctionRef) -> str | None:
    if not _is_plain_path(ref.file):
        return f"the script {ref.file!r} is not an absolute path to a .py file without . or .."
    if ref.module not in SCRIPT_MODULES:
        return f"the script {ref.file!r} has the module {ref.module!r} where a script has __main__"
    return None


def _is_dotted(text: object) -> bool:
    return isinstance(text, str) and all(part.isidentifier() for part in text.split("."))


def _is_plain_path(text: object) -> bool:
    if not isinstance(text, str) or "\0" in text or not text.endswith(".py"):
        return False
    root, *parts = text.split("/")
    return not root and bool(parts) and not any(part in _ODD_PARTS for part in parts)


def _home_of(function: Any) -> str | None:
    """Return the module that defines a function; that of its class for a builtin method."""
    if module := getattr(function, "__module__", None):
        return str(module)
    owner = getattr(function, "__objclass__", None) or getattr(function, "__self__", None)
    owner = owner if isinstance(owner, type) else type(owner)
    return None if owner is type(None) else str(owner.__module__)


def _is_main(module: str) -> bool:
    spec = getattr(own_main(), "__spec__", None)
    return getattr(spec, "name", None) == module
