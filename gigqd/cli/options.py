"""Parsers and options that several commands of `gigqd` share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gigq.command_parser import CommandParser, description
from gigq.model.units import parse_duration
from gigq.terminal import columns
from gigqd.config.value_types import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Config

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
Namespace = argparse.Namespace

_LONGEST_WAIT = 1e9
_LONGER = 5.0


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal; argparse makes one for each option, only to check it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=(columns(1) or 80) - 2)


class Parser(CommandParser):
    """A parser whose help is as wide as the terminal."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"formatter_class": _HelpFormatter, **given})


def add_parser(
    commands: Commands,
    name: str,
    handler: Callable[[Namespace], int],
    help_text: str,
    details: str = "",
) -> Parser:
    """Add a command with its help and the common options.

    Args:
        commands: the commands of the program.
        name: the command's name.
        handler: runs the command.
        help_text: a phrase for the list of commands.
        details: sentences about the command, in lines that fit a terminal.
    """
    text = description(help_text, details)
    parser = commands.add_parser(name, help=help_text, description=text)
    # Suppressed defaults: the second parser must not overwrite values that the first one found.
    add_common_options(parser, argparse.SUPPRESS, debug=argparse.SUPPRESS)
    parser.set_defaults(handler=handler)
    return parser


def add_common_options(parser: Parser, default: str | None, *, debug: bool | str) -> None:
    """Add the options that are valid before and after the command."""
    parser.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="the configuration file"
    )
    parser.add_argument(
        "--name",
        type=_name,
        default=default,
        help="the name of the daemon, instead of the key daemon.name",
    )
    parser.add_argument(
        "--debug", action="store_true", default=debug, help="show the traceback of an error"
    )


def add_wait(parser: Parser) -> None:
    """Add the option for the time that a start may take."""
    parser.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="maximum wait until the daemon is ready "
        f"(default: {_LONGER:g} more than daemon.start_timeout)",
    )


def longest_wait(options: Namespace, config: Config) -> float:
    """Return the seconds that a command waits for a daemon that it starts.

    Without --wait they are more than the daemon takes to give up, so that the command has the
    reason.
    """
    given: float | None = options.wait
    return config.daemon.start_timeout + _LONGER if given is None else given


def add_request_options(parser: Parser, timeout: float) -> None:
    """Add the options of a command that waits for an answer of the daemon."""
    _add_seconds(parser, "--timeout", timeout, "maximum wait for the answer")
    add_json(parser)
    add_runtime_dir(parser)


def _add_seconds(parser: Parser, option: str, default: float, what: str) -> None:
    parser.add_argument(
        option,
        type=_seconds,
        default=default,
        metavar="SECONDS",
        help=f"{what} (default: {default:g})",
    )


def add_runtime_dir(parser: Parser) -> None:
    """Add the option that finds a daemon without its configuration."""
    parser.add_argument(
        "--runtime-dir",
        type=Path,
        metavar="DIR",
        help="the runtime directory, to find a daemon without its configuration",
    )


def add_flag(parser: Parser, option: str, help_text: str, dest: str | None = None) -> None:
    """Add an option without a value."""
    parser.add_argument(
        option, action="store_true", help=help_text, dest=dest or option[2:].replace("-", "_")
    )


def add_json(parser: Parser) -> None:
    """Add the option for an answer that programs can read."""
    add_flag(parser, "--json", "answer with JSON")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name (letters, digits, . _ -)")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text, bare=1.0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0.0 < seconds < _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
