"""Errors of the command, and the exit code and the message of every error."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gigq import errors
from gigq.cli import exit_codes, installation
from gigq.store.session import MissingRight
from gigq.store.sqlite.file.filesystem import absolute


class VariableError(errors.GigqError):
    """An environment variable with a value that its option would refuse."""


class OptionsError(errors.GigqError):
    """Options that contradict each other."""


class HiddenOutputError(errors.GigqError):
    """Output in a daemon that this process cannot read."""


# The database is not meant: its errors are a StoreError.
_ERRORS_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# The first matching type decides.
CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.FunctionNotImportable, exit_codes.NEGATIVE),
    (errors.MissingParent, exit_codes.NEGATIVE),
    (errors.InvalidJob, exit_codes.USAGE),
    (VariableError, exit_codes.USAGE),
    (OptionsError, exit_codes.USAGE),
    (HiddenOutputError, exit_codes.NO_PERMISSION),
    (MissingRight, exit_codes.NO_PERMISSION),
    (errors.StoreError, exit_codes.UNAVAILABLE),
    (errors.GigqError, exit_codes.NEGATIVE),
    (PermissionError, exit_codes.NO_PERMISSION),
    (OSError, exit_codes.OUTPUT),
)


def code_for(error: Exception, database: str) -> int:
    """Return the exit code for an error of a command that works on `database`."""
    if installation.problem_of(error):
        return exit_codes.BAD_INSTALLATION
    if _is_of_the_working_directory(error):
        return exit_codes.UNAVAILABLE
    if isinstance(error, errors.StoreError) and _is_denied(database):
        return exit_codes.NO_PERMISSION
    return next((code for kind, code in CODES if isinstance(error, kind)), exit_codes.INTERNAL)


def message_for(error: Exception) -> str:
    """Return the text for an error; a defect of gigq is an "internal error"."""
    if problem := installation.problem_of(error):
        return problem
    if _is_of_the_working_directory(error):
        return "the working directory was deleted; change to another"
    if isinstance(error, OSError) and error.errno in _ERRORS_OF_WRITING:
        return f"cannot write the output: {error.strerror}"
    if isinstance(error, (errors.GigqError, OSError)):
        return str(error)
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def _is_of_the_working_directory(error: Exception) -> bool:
    """Return True for the error of getcwd(2), the only one of its type that names no file."""
    return isinstance(error, FileNotFoundError) and error.filename is None


def _is_denied(name: str) -> bool:
    """Return True when this user may not use or create the file; SQLite's codes do not show it."""
    try:
        database = absolute(name)
    except errors.StoreUnavailable:  # a relative name in a working directory that was deleted
        return False
    if os.access(database, os.F_OK):
        return not os.access(database, os.R_OK | os.W_OK)
    folder = Path(database).parent
    return os.access(folder, os.F_OK) and not os.access(folder, os.W_OK | os.X_OK)
