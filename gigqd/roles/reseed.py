"""Gives each job random numbers of its own, whatever an earlier job has made of the generators."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

_MODULES = ("random", "numpy.random")
_BYTES = 4  # as many as the generator of numpy takes


def reseed() -> None:
    """Seed the generators of `random` and `numpy.random`, if the application has loaded them."""
    for name in _MODULES:
        if (module := sys.modules.get(name)) is not None:
            _seed(module)


def _seed(module: Any) -> None:
    with suppress(Exception):  # a module half imported, or a generator of the application's own
        module.seed(int.from_bytes(os.urandom(_BYTES)))
