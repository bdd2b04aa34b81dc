"""The errors of gigq. Every message names the object, the value and the remedy."""

# ruff: noqa: N818 - they are named as in a sentence: "invalid job", "store locked"
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self


class GigqError(Exception):
    """The base of all errors that gigq raises, except `JobInterrupted`."""


class InvalidJob(GigqError, ValueError):
    """The job cannot be stored. Raised by `Job` and by submits, which store nothing."""


class FunctionNotImportable(InvalidJob, TypeError):
    """The job's function cannot be imported by another process: a lambda, a method, a closure."""


class NotJson(InvalidJob, TypeError):
    """A parameter or a result contains a value that is not JSON; the message says where.

    If it is in a result, the job fails for good with this error.
    """


class WrongParameters(InvalidJob, TypeError):
    """The function cannot be called with the job's parameters."""


class TooLarge(InvalidJob):
    """The job's parameters or result, as JSON, are larger than the limit."""


class MissingParent(InvalidJob):
    """The job depends on a job that is neither stored nor submitted with it."""


class DependencyCycle(InvalidJob):
    """Jobs depend on each other in a cycle, and would never become due."""


class UnreadableJob(GigqError, ValueError):
    """A row that another program wrote contains a value with which its job cannot run."""


class JobNotFound(GigqError, KeyError):
    """No job has this id. Raised by `JobQueue.get_result`."""

    def __str__(self) -> str:
        """Read as a sentence; KeyError would show the repr of its argument."""
        return str(self.args[0]) if self.args else "no such job"


class FunctionNotAllowed(GigqError):
    """The key `security.allow` does not permit the job's function. The job fails for good."""


class FunctionNotFound(GigqError):
    """The job's module or function does not exist.

    Args:
        problem: the message without its remedy.
        remedy: what to check; empty for none.

    Attributes:
        problem: the message without its remedy; empty when the message has no remedy.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem = problem if remedy else ""


class CodeConflict(GigqError):
    """The job's code conflicts with other code that the process has loaded."""


class HookFailed(GigqError):
    """The application's hooks cannot be used: their import or `worker_start` failed.

    Raised by `Worker.start`.
    """


class StoreError(GigqError):
    """The database refused a statement, or the file is not a valid queue."""


class StoreUnavailable(StoreError):
    """The database cannot be opened, read or written now. A later try may succeed."""


class StoreLocked(StoreUnavailable):
    """Another connection held the write lock for longer than `lock_timeout` seconds."""


class LockedByThisThread(StoreLocked):
    """Another connection of the same thread holds the write lock, so waiting is useless."""


class StoreGone(StoreUnavailable):
    """The database file is missing, may not be read, or was replaced."""


class NoQueue(StoreGone):
    """There is no queue in the file, and this process may not create one there."""


class UnsupportedStore(StoreError):
    """A database, file system or SQLite version that gigq does not support."""


class SchemaTooNew(StoreError):
    """A newer version of gigq has migrated this database; this version would damage it."""


class StoreCorrupt(StoreError):
    """SQLite reports that the file is damaged or is not a database."""


class BackupRefused(GigqError):
    """`gigq backup` cannot write to the given path. Nothing was changed."""


def _text_of(reason: object) -> str:
    """Return the text of a reason, whose class may raise anything; empty for None."""
    try:
        return "" if reason is None else str(reason)
    except Exception as broken:  # noqa: BLE001 - the decision counts also without a reason
        return f"<the reason cannot be shown: {type(broken).__name__}>"


class JobDecision(GigqError):
    """The base of exceptions with which a job ends its attempt and decides what follows.

    Args:
        reason: the reason, which becomes the error of the attempt: a text, or an object with one,
            such as another exception.
    """

    _reason = ""

    def __init__(self, reason: object = "") -> None:
        self.reason = reason
        super().__init__(self.reason)

    @property
    def reason(self) -> str:
        """The text of the reason."""
        return self._reason

    @reason.setter
    def reason(self, reason: object) -> None:
        self._reason = _text_of(reason)


class RetryLater(JobDecision):
    """End this attempt as failed, and try the job again after a delay if attempts are left.

    Args:
        delay: seconds, a string such as "10m", or a `timedelta`; it replaces the usual delay.
        reason: the reason, which becomes the error of the attempt.

    Attributes:
        delay: the delay, as given.
    """

    def __init__(self, delay: float | str | timedelta, reason: object = "") -> None:
        super().__init__(reason)
        self.delay = delay

    def __reduce__(self) -> tuple[type[Self], tuple[object, str]]:
        """Return what makes a copy of it, since it has two arguments and one text."""
        return type(self), (self.delay, self.reason)

    def __str__(self) -> str:
        """Return the reason; the delay when there is none."""
        unit = " s" if isinstance(self.delay, int | float) else ""
        return self.reason or f"in {self.delay}{unit}"


class Snooze(RetryLater):
    """Run the job again after a delay, without using an attempt; at most `max_snoozes` times.

    The arguments are those of `RetryLater`.
    """


class GiveUp(JobDecision):
    """End the job as failed, even with attempts left.

    The argument is the reason, which becomes the error of the job.
    """


class CancelJob(JobDecision):
    """End the job as cancelled.

    The argument is the reason, which becomes the error of the job.
    """


class JobInterrupted(BaseException):
    """Raised inside a running job to end it.

    It is a `BaseException`: `except Exception` in the job does not catch it, and `finally` blocks
    run.

    Attributes:
        execution_id: the execution that was interrupted; None if the job raised the exception
            itself, which counts as an ordinary error.
    """

    execution_id: str | None = None

    def interrupting(self, execution_id: str) -> Self:
        """Mark this exception as the interruption of an execution; for code that interrupts jobs.

        Args:
            execution_id: the id of the execution.

        Returns:
            This exception.
        """
        self.execution_id = execution_id
        return self


class JobTimeout(JobInterrupted):
    """The job ran longer than its timeout. The attempt is recorded as `timeout`."""


class JobCancelled(JobInterrupted):
    """A cancel was requested while the job ran. The job is cancelled and not tried again."""


class JobStopped(JobInterrupted):
    """The worker has to stop and cannot wait for the job any longer.

    The attempt is released and does not count, unless `max_attempts` is 1.
    """
