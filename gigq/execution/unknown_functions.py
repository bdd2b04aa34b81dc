"""The functions that a worker could not find: it claims no jobs of them for a while."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from gigq.errors import FunctionNotFound
from gigq.model import allow_list
from gigq.model.execution_result import UnknownFunction
from gigq.model.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.claim import Claim, Settled
    from gigq.model.execution_result import ExecutionResult
    from gigq.model.function_import import FunctionRef

    ImportFunction = Callable[[str, str], Callable[..., Any]]

_FIRST = 1.0
_LONGEST = 60.0
_TRIES = 4
"""A function is looked for at least so many times in the time for which its jobs wait."""


class UnknownFunctions:
    """The memory of one worker thread. Times are in seconds of the monotonic clock.

    Args:
        wait: seconds that the jobs of an unknown function wait; 0 when they fail at once.
    """

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._host = socket.gethostname()
        self._last: FunctionRef | None = None
        self._since: dict[str, float] = {}
        self._again_at: dict[str, float] = {}

    def begin(self) -> None:
        """Begin an attempt."""
        self._last = None

    def find(
        self, ref: FunctionRef, allow: tuple[str, ...] | None, import_function: ImportFunction
    ) -> Callable[..., Any]:
        """Return a function, and note when it is not found.

        Args:
            ref: its reference.
            allow: the patterns of the functions that may run; None for every one.
            import_function: finds a function by the names of its module and itself.

        Raises:
            FunctionNotFound: there is no such function.
            Exception: the exception of the module's import, or of the check of the patterns.
        """
        if allow is not None:
            allow_list.check(ref, allow)
        try:
            function = import_function(ref.file or ref.module, ref.name)
        except FunctionNotFound:
            self._last = self._last or ref
            raise
        if allow is not None:
            allow_list.check_found(function, ref, allow)
        return function

    def judged(self, claim: Claim, result: ExecutionResult) -> ExecutionResult:
        """Return the result of the attempt, which says whether the job's function was unknown."""
        ref = claim.function
        if self._last != ref or not self._wait:
            return result
        module = ref.file or ref.module
        return result._replace(unknown=UnknownFunction(module, ref.name, self._host, self._wait))

    def settled(self, unknown: UnknownFunction | None, settled: Settled | None) -> None:
        """Note what became of a job.

        Args:
            unknown: its function, if that is unknown.
            settled: the effects; the job waits, or it has waited for long enough.
        """
        if unknown is None or settled is None:
            return
        name, now = f"{unknown.module}:{unknown.name}", time.monotonic()
        if settled.job_status is not JobStatus.PENDING:
            self._again_at.pop(name, None)
            return
        longest = min(_LONGEST, self._wait / _TRIES)
        ahead = max(_FIRST, now - self._since.setdefault(name, now))
        self._again_at[name] = now + min(ahead, longest)

    def names(self) -> tuple[str, ...]:
        """Return the functions of which no job is to be claimed now."""
        if not self._again_at:
            return ()
        now = time.monotonic()
        self._again_at = {name: at for name, at in self._again_at.items() if at > now}
        return tuple(self._again_at)

    def pause(self, longest: float) -> float:
        """Return the seconds until one is looked for again, `longest` at most."""
        if not self._again_at:
            return longest
        return max(0.0, min(longest, min(self._again_at.values()) - time.monotonic()))
