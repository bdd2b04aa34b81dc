"""Errors of the daemon and its commands, each with an exit code."""

import errno
import resource
from collections.abc import Iterable
from typing import NamedTuple

from gigq.terminal import printable
from gigqd import exit_codes


class GigqdError(Exception):
    """The daemon or one of its commands cannot go on.

    Args:
        message: what is wrong, where, and the remedy.
        exit_code: the code to leave with; the class's own code when omitted.
    """

    exit_code: int = exit_codes.INTERNAL_ERROR

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


class Problem(NamedTuple):
    """A mistake in the configuration, and its place."""

    file: str | None
    """The file as the user knows it, "environment" for a variable, None without a place."""
    line: int | None
    key: str
    """Dotted key or variable name; empty when the whole file is meant."""
    message: str

    def __str__(self) -> str:
        place = [self.file or "configuration"]
        if self.line is not None:
            place.append(str(self.line))
        parts = (":".join(place), self.key, self.message)
        return printable(": ".join(part for part in parts if part))


class ConfigError(GigqdError):
    """The configuration is refused; `problems` lists all mistakes."""

    exit_code = exit_codes.BAD_CONFIG

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def is_out_of_files(error: BaseException) -> bool:
    """Return True when a call has failed because no further file can be opened."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def unexpected(error: BaseException) -> GigqdError:
    """Return the error to report for an exception that no code has caught, mostly a defect."""
    if isinstance(error, OSError) and is_out_of_files(error):
        text = f"no further file can be opened ({error.strerror}); {files_remedy()}"
        return GigqdError(text, exit_code=exit_codes.CANNOT_FORK)
    text = f"internal error: {type(error).__name__}: {error}"
    return GigqdError(text, exit_code=exit_codes.INTERNAL_ERROR)


def files_remedy() -> str:
    """Return the remedy for too few open files, with the limit of this process."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"the limit is {limit}: raise it with LimitNOFILE= of the unit, or ulimit -n"
