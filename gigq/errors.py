"""The errors of gigq. Every message names the object, the value and the remedy."""

# ruff: noqa: N818 - they are named as in a sentence: "invalid job", "store locked"
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class GigqError(Exception):
    """Base of every error that gigq raises on purpose."""


class InvalidJob(GigqError, ValueError):
    """A job that cannot be stored as it is; nothing was stored."""


class FunctionNotImportable(InvalidJob, TypeError):
    """The job's function cannot be found again by another process."""


class NotJson(InvalidJob, TypeError):
    """A parameter or a result holds a value that JSON cannot carry."""


class WrongParameters(InvalidJob, TypeError):
    """A job's function cannot be called with the parameters that the job has."""


class TooLarge(InvalidJob):
    """A parameter list or a result is over the size limit."""


class MissingParent(InvalidJob):
    """A job depends on a job id that is not in the store."""


class DependencyCycle(InvalidJob):
    """Jobs that wait for each other in a circle would never become due."""


class UnreadableJob(GigqError, ValueError):
    """A stored row, written by other programs, holds a value with which no job can be run."""


class JobNotFound(GigqError, KeyError):
    """No job has this id."""

    def __str__(self) -> str:
        """Read as a sentence; KeyError would show the repr of its argument."""
        return str(self.args[0]) if self.args else "no such job"


class FunctionNotAllowed(GigqError):
    """The operator's allow list does not name the job's function."""


class FunctionNotFound(GigqError):
    """The module or the function that the job names does not exist.

    Attributes:
        problem: the message without its remedy; empty when the message has no remedy.
    """

    problem = ""


def not_found(problem: str, remedy: str) -> FunctionNotFound:
    """Return the error of a worker that cannot find a function."""
    error = FunctionNotFound(f"{problem}; {remedy}")
    error.problem = problem
    return error


class CodeConflict(GigqError):
    """The job's code cannot be loaded beside other code that its process has loaded."""


class HookFailed(GigqError):
    """The application's hooks cannot be used: their import or `worker_start` has failed."""


class StoreError(GigqError):
    """The store refused a statement, or the file is not a valid store."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, read or written now; a later try may succeed."""


class StoreLocked(StoreUnavailable):
    """Another connection held the write lock for longer than the lock timeout."""


class LockedByThisThread(StoreLocked):
    """Another connection of the same thread holds the write lock, so waiting is useless."""


class StoreGone(StoreUnavailable):
    """The file at the store's path is missing, may not be read, or was replaced."""


class NoQueue(StoreGone):
    """There is no queue at the store's path, and this process may not create one there."""


class UnsupportedStore(StoreError):
    """A kind of store, file system or SQLite version that gigq does not support."""


class SchemaTooNew(StoreError):
    """A newer gigq has migrated this store; this one would damage it."""


class StoreCorrupt(StoreError):
    """SQLite reports that the file is damaged or is not a database."""


class BackupRefused(GigqError):
    """A backup cannot be written to the given path; nothing was changed."""


class JobInterrupted(BaseException):
    """Raised inside a running job to end it.

    A BaseException, so that `except Exception` in the job does not swallow it while
    `finally` blocks still run.

    Attributes:
        execution_id: the execution that was interrupted; None when the job raised it itself,
            which is an error of the job like any other.
    """

    execution_id: str | None = None

    def interrupting(self, execution_id: str) -> Self:
        """Return this exception, marked as the one that ends an execution; for interrupters."""
        self.execution_id = execution_id
        return self


class JobTimeout(JobInterrupted):
    """The job ran longer than its timeout."""


class JobCancelled(JobInterrupted):
    """The job's cancel was requested while it ran."""


class JobStopped(JobInterrupted):
    """The worker has to stop now and cannot wait for the job any longer."""
