"""Errors of the command, and the exit code and the message of every error."""

from __future__ import annotations

import os
from pathlib import Path

from gigq import errors
from gigq.cli import exit_codes
from gigq.store.sqlite.file.filesystem import absolute


class VariableError(errors.GigqError):
    """An environment variable with a value that its option would refuse."""


class OptionsError(errors.GigqError):
    """Options that contradict each other."""


class HiddenOutputError(errors.GigqError):
    """Output in a daemon that this process cannot read."""


# The first matching type decides.
CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.FunctionNotImportable, exit_codes.NEGATIVE),
    (errors.MissingParent, exit_codes.NEGATIVE),
    (errors.InvalidJob, exit_codes.USAGE),
    (VariableError, exit_codes.USAGE),
    (OptionsError, exit_codes.USAGE),
    (HiddenOutputError, exit_codes.NO_PERMISSION),
    (errors.StoreError, exit_codes.UNAVAILABLE),
    (errors.GigqError, exit_codes.NEGATIVE),
    (PermissionError, exit_codes.NO_PERMISSION),
    (OSError, exit_codes.OUTPUT),
)


def code_for(error: BaseException, database: str) -> int:
    """Return the exit code for an error of a command that works on `database`."""
    if isinstance(error, errors.StoreError) and _is_denied(absolute(database)):
        return exit_codes.NO_PERMISSION
    return next((code for kind, code in CODES if isinstance(error, kind)), exit_codes.INTERNAL)


def message_for(error: BaseException) -> str:
    """Return one sentence for an error; a defect of gigq is an "internal error"."""
    if isinstance(error, (errors.GigqError, OSError)):
        return str(error)
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def _is_denied(database: str | os.PathLike[str]) -> bool:
    """Return True when this user may not use or create the file; SQLite's codes do not show it."""
    if os.access(database, os.F_OK):
        return not os.access(database, os.R_OK | os.W_OK)
    folder = Path(database).parent
    return os.access(folder, os.F_OK) and not os.access(folder, os.W_OK | os.X_OK)
