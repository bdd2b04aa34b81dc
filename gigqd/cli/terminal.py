"""The one place where the command writes: answers to standard output, troubles to the other."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.strict_json import strict_json
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.logs.journal import leads_to_journal, with_priority
from gigqd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


class OutputFailed(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The answer cannot be written to standard output."""

    exit_code = exit_codes.OUTPUT_FAILED


def say(text: str) -> None:
    """Write an answer. What a terminal would obey instead of show is escaped.

    Raises:
        OutputFailed: it cannot be written, because the disk is full for instance.
        BrokenPipeError: whoever read has stopped reading.
    """
    _answer(printable(text, keep="\n"))


def say_json(value: object) -> None:
    """Write an answer for programs: one line, ASCII only, in the JSON that `gigq --json` writes.

    Raises:
        as `say`.
    """
    _answer(strict_json(value, default=str))


def complain(text: str) -> None:
    """Write what went wrong; for the journal as an error."""
    shown = printable(text, keep="\n")
    with suppress(OSError):  # nobody to tell: the exit code has to do
        _write(2, with_priority(shown, "error") if leads_to_journal(2) else shown)


def width() -> int | None:
    """How wide a table may be: $COLUMNS, else the terminal's width; None for a file or a pipe."""
    with suppress(KeyError, ValueError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with suppress(OSError):
        return os.get_terminal_size(1).columns or None
    return None


class Result(NamedTuple):
    """The end of a command.

    Attributes:
        code: the exit code of the command.
        text: for people; on standard error, after "gigqd: ", when the code is not 0.
        facts: for programs, besides the code and the text of an error.
    """

    code: int
    text: str
    facts: Mapping[str, Any] = {}

    def write(self, *, as_json: bool) -> int:
        """Write it in one of its two forms, and return the code."""
        if as_json:
            error = {"error": self.text} if self.code else {}
            say_json({"ok": not self.code, "code": self.code, **error, **self.facts})
        elif self.code:
            complain(f"gigqd: {self.text}")
        else:
            say(self.text)
        return self.code


def _answer(text: str) -> None:
    try:
        _write(1, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(f"cannot write to standard output: {error.strerror}") from error


def _write(fd: int, text: str) -> None:
    """Write straight to the descriptor: no buffer of ours is left for a forked child to repeat."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    data = (text + "\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(fd, data) :]
