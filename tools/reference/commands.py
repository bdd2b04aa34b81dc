"""The commands, read from their argument parsers, and the pages about them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from reference.markdown import code_block, one_line, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator


class Option(NamedTuple):
    """An option or a positional argument.

    Attributes:
        names: its names; empty for a positional argument.
        value: the placeholder of its value; empty for a flag.
        meaning: its help text, as a sentence.
    """

    names: tuple[str, ...]
    value: str
    meaning: str

    @property
    def usage(self) -> str:
        """The names with the value, as one types them."""
        names = ", ".join(self.names)
        return f"{names} {self.value}".strip()


class Command(NamedTuple):
    """A command of a program, or the program itself.

    Attributes:
        name: with the program's name, "gigq submit".
        usage: the line that shows all options.
        description: sentences about it.
        options: its own options; those of every command belong to the program.
        example: a command line; empty for none.
    """

    name: str
    usage: str
    description: str
    options: tuple[Option, ...]
    example: str


def program(parser: argparse.ArgumentParser) -> tuple[Command, list[Command]]:
    """Return a program and its commands."""
    whole = _command(parser, frozenset())
    common = frozenset(name for option in whole.options for name in option.names)
    return whole, [_command(each, common) for each in _leaves(parser)]


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of a program's commands, and of the commands below these."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from list(_leaves(each)) or [each]


def text(parser: argparse.ArgumentParser, variables: dict[str, str]) -> str:
    """Return the page of a program.

    Args:
        parser: its argument parser.
        variables: the meaning of each variable that it reads.
    """
    whole, commands = program(parser)
    rows = [(f"`{name}`", sentence(meaning)) for name, meaning in variables.items()]
    return page(
        f"The command {whole.name}",
        f"the argument parsers of {whole.name}",
        whole.description,
        "[The commands by example](../cli.md) shows examples and the form of the answers. "
        "[Exit codes](exit-codes.md) lists the exit codes.",
        "## Options of every command",
        "These are valid before and after the command.",
        _list(whole.options),
        "## Variables",
        "An option overrides its variable. An empty variable counts as unset.",
        table(("Variable", "Meaning"), rows),
        *map(_part, commands),
    )


def _part(command: Command) -> str:
    parts = [f"## {command.name}", command.description, code_block(command.usage)]
    parts.append(_list(command.options))
    if command.example:
        parts.append("Example:\n\n" + code_block(command.example, "sh"))
    return "\n\n".join(filter(None, parts))


def _list(options: tuple[Option, ...]) -> str:
    return "\n".join(f"- `{option.usage}`: {option.meaning}".rstrip(": ") for option in options)


def _command(parser: argparse.ArgumentParser, common: frozenset[str]) -> Command:
    own = [action for action in parser._actions if _is_own(action, common)]
    start, _, example = (parser.epilog or "").partition("example:\n")
    return Command(
        parser.prog,
        _usage(parser, own),
        one_line(parser.description or ""),
        tuple(map(_option, own)),
        example.strip() if start.strip() == "" else "",
    )


def _is_own(action: argparse.Action, common: frozenset[str]) -> bool:
    return not (
        isinstance(action, argparse._SubParsersAction | argparse._HelpAction)
        or common.issuperset(action.option_strings or {""})
    )


def _option(action: argparse.Action) -> Option:
    value = "" if action.nargs == 0 else _value(action)
    return Option(tuple(action.option_strings), value, sentence(action.help or ""))


def _value(action: argparse.Action) -> str:
    choices = f"{{{','.join(action.choices)}}}" if action.choices else action.dest.upper()
    name = action.metavar or choices
    name = name if isinstance(name, str) else " ".join(name)
    return f"[{name}...]" if action.nargs == "*" else name


def sentence(text: str) -> str:
    """Return a help text as a sentence."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _usage(parser: argparse.ArgumentParser, own: list[argparse.Action]) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=76)
    groups = parser._mutually_exclusive_groups
    formatter.add_usage(None, own, groups, prefix="")
    return formatter.format_help().rstrip()
