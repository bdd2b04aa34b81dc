"""The argument parser of both commands: what is wrong with a command line, as one error."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

CODE = 2
"""The exit code for a wrong command line."""


class UsageError(Exception):
    """The command line is wrong.

    Attributes:
        usage: how the command is written.
        program: its name.
        message: what is wrong.
    """

    def __init__(self, usage: str, program: str, message: str) -> None:
        super().__init__(message)
        self.usage = usage
        self.program = program
        self.message = message

    @property
    def text(self) -> str:
        """The usage and the error, for people."""
        return f"{self.usage}{self.program}: {self.message}"

    @property
    def shape(self) -> dict[str, object]:
        """The same for programs."""
        return {"ok": False, "code": CODE, "error": self.message}


class CommandParser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, and names the command that was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Raise the error instead of ending the process."""
        raise UsageError(self.format_usage(), self.prog, message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            near = _nearest(value, [*action.choices])
            hint = f"did you mean {near!r}?" if near else f"{self.prog} --help lists them"
            raise argparse.ArgumentError(None, f"there is no command {value!r}; {hint}")
        super()._check_value(action, value)


def asks_for_json(arguments: list[str]) -> bool:
    """Return True when a command line, perhaps a wrong one, asks for an answer in JSON."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _nearest(word: str, known: list[str]) -> str | None:
    from difflib import get_close_matches  # slow to import, and only for mistakes

    return next(iter(get_close_matches(word.lower(), known, n=1)), None)
