"""The functions of jobs, whose imports may change the process for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model import function_import

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.worker.leaks.check import LeakCheck


class FunctionFinder:
    """Finds functions, and accepts as normal what the import of a job's function has changed.

    A retry function is found after its job, whose leaks must not count as normal.

    Args:
        check: the leak check of this process.
    """

    def __init__(self, check: LeakCheck) -> None:
        self._check = check
        self._found: dict[tuple[str, str], Callable[..., object]] = {}
        self._is_of_job = False

    def job_starts(self) -> None:
        """Take the next function for that of a job."""
        self._is_of_job = True

    def find(self, module_name: str, name: str) -> Callable[..., object]:
        """Return the function of a module, whose name may be a script's path."""
        is_of_job, self._is_of_job = self._is_of_job, False
        function = function_import.find(module_name, name)
        if is_of_job and self._found.get((module_name, name)) is not function:
            self._found[module_name, name] = function
            self._check.accept()
        return function
