"""What the command says, and which exit code it has, when something went wrong."""

from __future__ import annotations

from gigq import errors
from gigq.cli import exits

# The first kind that fits decides.
CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.FunctionNotImportable, exits.NEGATIVE),
    (errors.MissingParent, exits.NEGATIVE),
    (errors.InvalidJob, exits.USAGE),
    (errors.StoreError, exits.UNAVAILABLE),
    (errors.GigqError, exits.NEGATIVE),
    (PermissionError, exits.NO_PERMISSION),
    (OSError, exits.OUTPUT),
)


def code_for(error: BaseException) -> int:
    """The exit code for an error."""
    if _denied(error):
        return exits.NO_PERMISSION
    return next((code for kind, code in CODES if isinstance(error, kind)), exits.INTERNAL)


def message_for(error: BaseException) -> str:
    """One sentence for an error; a defect of gigq itself is called one."""
    if isinstance(error, (errors.GigqError, OSError)):
        return str(error)
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def _denied(error: BaseException) -> bool:
    """Whether a missing permission is behind a store error."""
    return isinstance(error, errors.StoreError) and isinstance(error.__cause__, PermissionError)
