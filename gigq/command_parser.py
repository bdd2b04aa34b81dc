"""The argument parser of both commands, which raises an exception for a wrong command line."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from gigq.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

CODE = 2
"""The exit code for a wrong command line."""

SHELLS = ("bash", "zsh", "fish")
"""The shells for which both commands print a completion."""


class UsageError(Exception):
    """An error of the command line.

    Attributes:
        usage: the usage of the command.
        program: the command's name.
        message: the mistake.
    """

    def __init__(self, usage: str, program: str, message: str) -> None:
        super().__init__(message)
        self.usage = usage
        self.program = program
        self.message = message

    @property
    def text(self) -> str:
        """Return the usage and the error, for people."""
        return f"{self.usage}{self.program}: {self.message}"

    @property
    def shape(self) -> dict[str, object]:
        """Return the error, for programs."""
        return {"ok": False, "code": CODE, "error": self.message}


class CommandParser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, and suggests a command for an unknown one.

    Options are not abbreviated: `--no` would mean `--now`, until a later version has `--notify`.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **given})
        # No option begins with a digit, so that "-5m" is a value, and its option refuses it.
        self._negative_number_matcher = re.compile(r"-\d")

    def error(self, message: str) -> NoReturn:
        """Raise the error instead of ending the process."""
        raise UsageError(self.format_usage(), self.prog, message)

    def command_in(self, given: Sequence[str]) -> str:
        """Return the command of a command line; empty where the help may have to list them all.

        Args:
            given: the command line; this parser's options may stand before the command.
        """
        words = iter(given)
        for word in words:
            option = self._option_string_actions.get(word.partition("=")[0])
            if option is None:
                return word
            if isinstance(option, argparse._HelpAction):
                return ""
            if option.nargs is None and "=" not in word:
                next(words, "")
        return ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            near = nearest(value, action.choices)
            hint = f"did you mean {near!r}?" if near else f"{self.prog} --help lists them"
            raise argparse.ArgumentError(None, f"there is no command {value!r}; {hint}")
        super()._check_value(action, value)


def description(help_text: str, details: str = "") -> str:
    """Return the description of a command: its help text as a sentence, and details below it."""
    sentence = help_text[0].upper() + help_text[1:] + "."
    return f"{sentence}\n\n{details}" if details else sentence


def asks_for_json(arguments: list[str]) -> bool:
    """Return True when a command line, perhaps a wrong one, asks for an answer in JSON."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]
