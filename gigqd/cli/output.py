"""Output of the command: answers to standard output, errors to standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.strict_json import strict_json
from gigq.terminal import printable
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.logs.journal import leads_to_journal, with_priority

if TYPE_CHECKING:
    from collections.abc import Mapping


class OutputFailed(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The answer cannot be written to standard output."""

    exit_code = exit_codes.OUTPUT_FAILED


def print_answer(text: str) -> None:
    """Write an answer, with control characters as escapes.

    Raises:
        OutputFailed: it cannot be written, because the disk is full for instance.
        BrokenPipeError: the reader has closed the pipe.
    """
    _answer(printable(text, keep="\n"))


def print_json(value: object) -> None:
    """Write an answer for programs: one line, ASCII only, in the JSON that `gigq --json` writes.

    Raises:
        OutputFailed: as for `print_answer`.
    """
    _answer(strict_json(value, default=str))


def print_error(text: str) -> None:
    """Write an error, with its priority when standard error is the journal."""
    shown = printable(text, keep="\n")
    with suppress(OSError):  # the exit code has to be enough
        _write(2, with_priority(shown, "error") if leads_to_journal(2) else shown)


class Result(NamedTuple):
    """The result of a command.

    Attributes:
        code: the exit code of the command.
        text: for people; on standard error, after "gigqd: ", when the code is not 0.
        facts: for programs, besides the code and the text of an error.
    """

    code: int
    text: str
    facts: Mapping[str, Any] = {}

    def write(self, *, as_json: bool) -> int:
        """Write the result as text or JSON, and return the code."""
        if as_json:
            error = {"error": self.text} if self.code else {}
            print_json({"ok": not self.code, "code": self.code, **error, **self.facts})
        elif self.code:
            print_error(f"gigqd: {self.text}")
        else:
            print_answer(self.text)
        return self.code


def _answer(text: str) -> None:
    try:
        _write(1, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(f"cannot write to standard output: {error.strerror}") from error


def _write(fd: int, text: str) -> None:
    """Write to the descriptor: a buffer of Python would be written again by a forked child."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    data = (text + "\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(fd, data) :]
