"""Write the shell completions of both commands from their parsers: `make completions`.

shtab makes them. They are kept in the repository, so that an installation needs no shtab.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import shtab

import gigq.cli.parser
import gigqd.cli.parser
from gigq.command_parser import SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PARSERS = {"gigq": gigq.cli.parser.build_parser, "gigqd": gigqd.cli.parser.build_parser}
COMPLETED = {"FILE": shtab.FILE, "DEST": shtab.FILE, "DIR": shtab.DIRECTORY}
"""The values that are files or folders, by their name in the help."""


def scripts() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of each completion."""
    for program, build_parser in PARSERS.items():
        for shell in SHELLS:
            parser = build_parser()
            mark_paths(parser)
            file = ROOT / program / "share/completions" / f"{program}.{shell}"
            yield file, shtab.complete(parser, shell=shell).strip() + "\n"


def mark_paths(parser: argparse.ArgumentParser) -> None:
    """Note at each option whose value is a path that the shell completes it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                mark_paths(command)
        elif action.metavar in COMPLETED:
            action.complete = COMPLETED[action.metavar]


if __name__ == "__main__":
    for file, text in scripts():
        file.write_text(text, encoding="utf-8")
