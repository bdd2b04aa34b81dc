"""Arguments and parsers that the commands of `gigq` share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Commands = argparse._SubParsersAction


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that are valid before and after the command."""
    # Suppressed defaults: the second parser must not overwrite values that the first one found.
    parser.add_argument(
        "--db", metavar="FILE", default=argparse.SUPPRESS, help="the database (default: gigq.db)"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="gigqd's configuration, which names the database when --db does not",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )


def command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    handler: Callable[[argparse.Namespace], int],
    help_text: str,
    *,
    example: str,
) -> argparse.ArgumentParser:
    """Add a command with its help, an example and the common options."""
    parser = commands.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(handler=handler)
    add_common(parser)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for an answer that programs can read."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def choices(names: Sequence[str]) -> str:
    """Return the choices of an option, for its help."""
    return "one of: " + ", ".join(names)
