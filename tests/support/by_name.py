"""Submitting functions of an application that the test's own process must not import."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from gigq import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq import JobQueue


def submit(
    queue: JobQueue, place: str, params: Mapping[str, Any] | None = None, **options: Any
) -> str:
    """Submit a job of `package.module.function`; its id.

    A module of that name, with a function that takes anything, stands in for the real one here.
    """
    name, _, function = place.rpartition(".")
    module = ModuleType(name)
    exec(f"def {function}(**params): ...", vars(module))
    with patch.dict(sys.modules, {name: module}):
        job = Job(function, vars(module)[function], dict(params or {}), **options)
        return queue.submit(job)
