"""The command `gigq completion`."""

from __future__ import annotations

from pathlib import Path

from gigq.cli import exit_codes
from gigq.cli.options import Commands, Namespace, add_parser
from gigq.command_parser import SHELLS

_FOLDER = Path(__file__).parent.parent / "share" / "completions"


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "completion",
        completion,
        "print the completion of gigq's command line for a shell",
        example='eval "$(gigq completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="one of: bash, zsh, fish")
    parser.set_defaults(needs_database=False)


def completion(args: Namespace) -> int:
    """Print the completion for a shell."""
    print((_FOLDER / f"gigq.{args.shell}").read_text(encoding="utf-8"), end="")
    return exit_codes.OK
