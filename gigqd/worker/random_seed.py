"""New seeds for each job, independent of the seeds that earlier jobs have set."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

_MODULES = ("random", "numpy.random")
_BYTES = 4  # the maximum of numpy's generator


def reseed() -> None:
    """Seed the generators of `random` and `numpy.random`, if the application has loaded them."""
    for name in _MODULES:
        if (module := sys.modules.get(name)) is not None:
            _seed(module)


def _seed(module: Any) -> None:
    with suppress(Exception):  # a half-imported module, or one of the application
        module.seed(int.from_bytes(os.urandom(_BYTES)))
