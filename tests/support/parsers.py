"""An argparse parser as its documents have to describe it."""

from __future__ import annotations

import argparse


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a command's subcommands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The option strings of one parser, without those for help."""
    found = {option for action in parser._actions for option in action.option_strings}
    return found - {"-h", "--help"}


def all_options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The option strings of a command and all its subcommands."""
    return options_of(parser).union(*map(options_of, commands_of(parser).values()))
