"""What the function of a job can ask about itself while it runs: `current_job()`."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gigq.model.cause import Cause
from gigq.model.outcome import Interruption

if TYPE_CHECKING:
    from typing import Self

    from gigq.model.claim import Claim


class JobContext(Protocol):
    """What a worker knows of the limits of the job that it runs.

    It is asked by the job's own code, so it raises nothing and answers at once.
    """

    def deadline(self, claim: Claim) -> float | None:
        """When the job's time is over, in seconds of the monotonic clock; None for no limit.

        Asked once, when the job begins.
        """
        ...

    def stop_requested(self) -> bool:
        """Whether the worker wants to stop."""
        ...

    def cancel_requested(self, claim: Claim) -> bool:
        """Whether somebody has cancelled the job since it began."""
        ...


@dataclass(frozen=True, slots=True)
class CurrentJob:
    """The job that runs here, as its own function sees it.

    Attributes:
        id: the job's id.
        name: its name.
        queue: the named queue that it came from.
        attempt: which attempt this is, from 1.
        max_attempts: how many it may use.
        execution_id: the id of this attempt; it is in the worker's log too.
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
        """Seconds until the job's time is over, 0.0 when it is; None when there is no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def stop_requested(self) -> bool:
        """Whether the worker wants to stop: a job that can, ends early or saves what it has."""
        return self._running.stop_requested()

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody has cancelled the job: what it does from now on is in vain."""
        return self._running.cancel_requested()


_current: ContextVar[Running | None] = ContextVar("gigq_current_job", default=None)


def current_job() -> CurrentJob | None:
    """The job whose function is running here.

    It is found in the thread that runs the job, in coroutines that it runs, and in processes that
    it forks. A thread that the job starts has to be given the job's context:
    `Thread(target=contextvars.copy_context().run, args=(function,))`.

    Returns:
        The job; None outside of one.
    """
    running = _current.get()
    return running.job if running else None


class Running:
    """A context in which `current_job()` tells of a claim. Most jobs never ask.

    Args:
        claim: the job and its attempt.
        surroundings: answers what the job asks about its limits.

    Attributes:
        seen: the first time that the job asked whether it is to end, and it was; None before.
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
        """The job as its own function sees it."""
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
        """Return True when the worker wants to stop, and note that the job has been informed."""
        return self._noted(Cause.STOPPED, self._job_context.stop_requested())

    def cancel_requested(self) -> bool:
        """Return True when the job is cancelled, and note that the job has been informed."""
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
