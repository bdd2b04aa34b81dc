"""The commands `gigqd config` and `gigqd completion`, which print files of the package."""

from __future__ import annotations

from pathlib import Path

from gigq.command_parser import SHELLS
from gigqd import exit_codes
from gigqd.cli.options import Commands, Namespace, add_parser
from gigqd.cli.output import print_answer

_PACKAGE = Path(__file__).parent.parent
_SHARED = _PACKAGE / "share"
_FILES = {"example": "etc/gigq.toml"} | {name: f"completions/gigqd.{name}" for name in SHELLS}


def add_command(commands: Commands) -> None:
    """Add the parsers of both commands."""
    what = "print an example of the configuration with every key"
    parser = add_parser(commands, "config", print_file, what)
    parser.add_argument("file", choices=["example"], help="the only file")
    what = "print the completion of gigqd's command line for a shell"
    parser = add_parser(commands, "completion", print_file, what)
    parser.add_argument("file", choices=SHELLS, metavar="SHELL", help="one of: bash, zsh, fish")


def print_file(options: Namespace) -> int:
    """Print the file that a word of the command line names."""
    print_answer(text_of(_FILES[options.file]))
    return exit_codes.OK


def text_of(name: str) -> str:
    """Return a file without its last line break.

    Args:
        name: its path in `gigqd/share`, or in the checkout of an editable installation.
    """
    installed = _SHARED / name
    path = installed if installed.exists() else _PACKAGE.parent / name
    return path.read_text(encoding="utf-8").removesuffix("\n")
