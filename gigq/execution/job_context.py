"""The job context: what a job's function learns about itself from `current_job()`."""

from __future__ import annotations

import time
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gigq.errors import StoreError
from gigq.model.cause import Cause
from gigq.model.execution_result import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from gigq.model.claim import Claim

_BETWEEN_QUERIES = 0.25


class JobContext(Protocol):
    """Answers of a worker to its running job: the deadline, and requests to stop or cancel.

    The job's own code calls it, so it raises nothing and returns at once.
    """

    def deadline(self, claim: Claim) -> float | None:
        """Return the end of the job's time, in seconds of the monotonic clock; None for no limit.

        Called once, when the job begins.
        """
        ...

    def stop_requested(self) -> bool:
        """Return True when the worker is to stop."""
        ...

    def cancel_requested(self, claim: Claim) -> bool:
        """Return True when the job's cancel was requested since it began."""
        ...


class PlainJobContext:
    """The job context of a plain worker; it asks for cancel requests at most four times a second.

    Args:
        is_cancel_requested: asks the database, by execution id.
        is_stopping: returns True when the worker was asked to stop.
    """

    def __init__(
        self,
        is_cancel_requested: Callable[[str], bool],
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_cancel_requested = is_cancel_requested
        self._is_stopping = is_stopping
        self._cancelled = False
        self._next_query = 0.0

    def deadline(self, claim: Claim) -> float | None:
        """Return the end of the job's time, and forget the answers to the job before."""
        self.reset()
        return None if claim.timeout is None else time.monotonic() + claim.timeout

    def reset(self) -> None:
        """Forget the answers to the job before."""
        self._cancelled = False
        self._next_query = 0.0

    def stop_requested(self) -> bool:
        """Return True when the worker was asked to stop."""
        return self._is_stopping()

    def cancel_requested(self, claim: Claim) -> bool:
        """Ask the database; return its last answer when it cannot be asked now."""
        if not self._cancelled and time.monotonic() >= self._next_query:
            self._next_query = time.monotonic() + _BETWEEN_QUERIES
            with suppress(StoreError):
                self._cancelled = self._is_cancel_requested(claim.execution_id)
        return self._cancelled


@dataclass(frozen=True, slots=True)
class CurrentJob:
    """The running job, for its own function.

    Attributes:
        id: the job's id.
        name: its name.
        queue: its named queue.
        attempt: the number of this attempt, from 1.
        max_attempts: its maximum number of attempts.
        execution_id: the id of this attempt, as in the worker's log.
    """

    id: str
    name: str
    queue: str
    attempt: int
    max_attempts: int
    execution_id: str
    _running: Running = field(repr=False)
    _deadline: float | None = field(repr=False)

    @property
    def remaining(self) -> float | None:
        """Seconds until the job's time limit, 0.0 after it; None without a limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def stop_requested(self) -> bool:
        """True when the worker has to stop: the job should return early or save its state."""
        return self._running.stop_requested()

    @property
    def cancel_requested(self) -> bool:
        """True when a cancel of the job was requested: its result is no longer needed."""
        return self._running.cancel_requested()


_current: ContextVar[Running | None] = ContextVar("gigq_current_job", default=None)


def current_job() -> CurrentJob | None:
    """Return the job whose function is running in this context.

    It works in the thread that runs the job, in its coroutines, and in processes that the job
    forks. A thread that the job starts needs the job's context:
    `Thread(target=contextvars.copy_context().run, args=(function,))`.

    Returns:
        The job; None outside a job.
    """
    running = _current.get()
    return running.job if running else None


class Running:
    """A context in which `current_job()` returns the job of a claim.

    Args:
        claim: the job and its attempt.
        job_context: answers the job's questions about its limits.

    Attributes:
        seen: the first positive answer to a question whether the job is to end; None before.
    """

    __slots__ = ("_claim", "_deadline", "_job_context", "_token", "seen")

    def __init__(self, claim: Claim, job_context: JobContext) -> None:
        self._claim = claim
        self._job_context = job_context
        self.seen: Interruption | None = None

    def __enter__(self) -> Self:
        self._deadline = self._job_context.deadline(self._claim)
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    @property
    def job(self) -> CurrentJob:
        """The job, for its own function."""
        claim = self._claim
        return CurrentJob(
            id=claim.job_id,
            name=claim.name,
            queue=claim.queue,
            attempt=claim.attempt,
            max_attempts=claim.max_attempts,
            execution_id=claim.execution_id,
            _running=self,
            _deadline=self._deadline,
        )

    def stop_requested(self) -> bool:
        """Return True when the worker is to stop, and note that the job knows it."""
        return self._noted(Cause.STOPPED, self._job_context.stop_requested())

    def cancel_requested(self) -> bool:
        """Return True when the job's cancel was requested, and note that the job knows it."""
        return self._noted(Cause.CANCELLED, self._job_context.cancel_requested(self._claim))

    def overrun(self) -> Interruption | None:
        """Return the end of the job's time as an interruption once it has passed, or None."""
        if self._deadline is None or time.monotonic() < self._deadline:
            return None
        return Interruption(Cause.TIMEOUT, self._deadline)

    def _noted(self, cause: Cause, wanted: bool) -> bool:
        if wanted and self.seen is None:
            self.seen = Interruption(cause, time.monotonic())
        return wanted
