"""Parsers and options that several commands of `gigq` share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from gigq.cli import arguments
from gigq.command_parser import description

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Namespace = argparse.Namespace


def add_parser(
    commands: Commands,
    name: str,
    handler: Callable[[Namespace], int],
    help_text: str,
    *,
    example: str,
    details: str = "",
) -> argparse.ArgumentParser:
    """Add a command with its help, an example and the common options.

    Args:
        commands: the commands of the program.
        name: the command's name.
        handler: runs the command.
        help_text: a phrase for the list of commands.
        example: a command line.
        details: sentences about the command, in lines that fit a terminal.
    """
    parser = commands.add_parser(
        name,
        help=help_text,
        description=description(help_text, details),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    add_common_options(parser)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that are valid before and after the command."""
    # Suppressed defaults: the second parser must not overwrite values that the first one found.
    add, absent = parser.add_argument, argparse.SUPPRESS
    add(
        "--db",
        metavar="FILE",
        default=absent,
        help="the database, also a postgresql:// address (default: gigq.db)",
    )
    add(
        "--config",
        metavar="FILE",
        default=absent,
        help="a configuration of gigqd; it names the database unless --db is given",
    )
    add("--debug", action="store_true", default=absent, help="show the traceback of an error")


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add the option for an answer that programs can read."""
    parser.add_argument("--json", action="store_true", help="answer with JSON")


def add_queues(parser: argparse._ActionsContainer, help_text: str) -> None:
    """Add the option for named queues."""
    parser.add_argument("--queue", dest="queues", action="append", metavar="NAME", help=help_text)


def add_code_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the user's code is."""
    parser.add_argument(
        "--app-dir",
        metavar="DIR",
        default=arguments.from_environment("GIGQ_APP_DIR", "."),
        help="the folder of your code, for imports (default: the working directory)",
    )
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module to import first, to set up your code (may be repeated)",
    )


def choices(names: Sequence[str]) -> str:
    """Return the choices of an option, for its help."""
    return "one of: " + ", ".join(names)
