"""Messages and exit codes of the command for errors."""

from __future__ import annotations

import os
from pathlib import Path

from gigq import errors
from gigq.cli import exits
from gigq.cli.live import HiddenOutputError
from gigq.cli.values import OptionsError, VariableError
from gigq.store.sqlite.file.filesystem import absolute

# The first matching type decides.
CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.FunctionNotImportable, exits.NEGATIVE),
    (errors.MissingParent, exits.NEGATIVE),
    (errors.InvalidJob, exits.USAGE),
    (VariableError, exits.USAGE),
    (OptionsError, exits.USAGE),
    (HiddenOutputError, exits.NO_PERMISSION),
    (errors.StoreError, exits.UNAVAILABLE),
    (errors.GigqError, exits.NEGATIVE),
    (PermissionError, exits.NO_PERMISSION),
    (OSError, exits.OUTPUT),
)


def code_for(error: BaseException, database: str) -> int:
    """Return the exit code for an error of a command that works on `database`."""
    if isinstance(error, errors.StoreError) and _denied(absolute(database)):
        return exits.NO_PERMISSION
    return next((code for kind, code in CODES if isinstance(error, kind)), exits.INTERNAL)


def message_for(error: BaseException) -> str:
    """Return one sentence for an error; a defect of gigq is an "internal error"."""
    if isinstance(error, (errors.GigqError, OSError)):
        return str(error)
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def _denied(database: str | os.PathLike[str]) -> bool:
    """Return True when this user may not use or create the file; SQLite's codes do not say it."""
    if os.access(database, os.F_OK):
        return not os.access(database, os.R_OK | os.W_OK)
    folder = Path(database).parent
    return os.access(folder, os.F_OK) and not os.access(folder, os.W_OK | os.X_OK)
