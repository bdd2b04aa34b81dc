"""The packages as griffe reads them: their source, without importing it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import griffe

from reference.markdown import ROOT, one_line


class Constant(NamedTuple):
    """A constant of a module: its value, and the docstring below it."""

    name: str
    value: str
    meaning: str


@cache
def package(name: str) -> griffe.Module:
    """Return a package with all its modules."""
    return griffe.load(name, search_paths=[ROOT], docstring_parser="google")


def found(path: str) -> griffe.Object:
    """Return the object that a dotted path names; an imported name leads to its definition."""
    top, _, rest = path.partition(".")
    named = package(top)[rest]
    return named.final_target if named.is_alias else named


def constants(module: str) -> list[Constant]:
    """Return the constants of a module, in the order of the source.

    Raises:
        ValueError: one has no docstring.
    """
    members = [each for name, each in found(module).members.items() if name.isupper()]
    for each in members:
        if not each.docstring:
            raise ValueError(f"{each.path} has no docstring")
    return [
        Constant(each.name, str(each.value), one_line(each.docstring.value)) for each in members
    ]
