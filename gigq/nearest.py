"""The known word that a misspelled one probably means, for error messages."""

from __future__ import annotations

import sysconfig
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like a given one, in any case, or None."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = _difflib().get_close_matches(word.lower(), by_folded, n=1)
    return by_folded[near[0]] if near else None


@cache
def _difflib() -> Any:
    """Load the standard library's difflib, late, since it is slow to import.

    The application's folder may be on the path by then, and have a `difflib.py` of its own.
    """
    spec = PathFinder.find_spec("difflib", [sysconfig.get_path("stdlib")])
    if spec is None or spec.loader is None:
        raise ImportError("the standard library has no difflib")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
