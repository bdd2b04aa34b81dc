"""The manual pages, from the argument parsers, the exit codes and the signals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reference import commands, exit_codes
from reference.markdown import ROOT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from reference.commands import Command, Option

# Without these groff may print characters that a shell does not take: hyphens, closing quotes.
_AS_TYPED = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti"})
_CODE = re.compile(r"`([^`]*)`")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_ROW = re.compile(r"^\| ([^|]+?) \| (.+) \|$", re.MULTILINE)
_FILES = {
    "gigq": {"gigq.db": "The database, when nothing else names one."},
    "gigqd": {"gigq.toml, /etc/gigq.toml": "The configuration; see --config."},
}
_OTHER = {"gigq": "gigqd", "gigqd": "gigq"}


def text(parser: argparse.ArgumentParser, variables: dict[str, str]) -> str:
    """Return the manual page of a program.

    Args:
        parser: its argument parser.
        variables: the meaning of each variable that it reads.
    """
    whole, parts = commands.program(parser)
    meanings = {name: commands.sentence(meaning) for name, meaning in variables.items()}
    lines = [
        '.\\" Generated from the argument parsers by `make reference`; changes here are lost.',
        f'.TH {whole.name.upper()} 1 "" "{whole.name}" "User Commands"',
        *_section("NAME", [f"{whole.name} \\- {_in_a_list(whole.description)}"]),
        *_section("SYNOPSIS", [_synopsis(whole)]),
        *_section("DESCRIPTION", [_roff(whole.description)]),
        *_section("OPTIONS", ["These are valid before and after the command.", *_options(whole)]),
        *_section("COMMANDS", [line for part in parts for line in _command(part)]),
        *_section("EXIT STATUS", _items(_codes(whole.name))),
        *_section("SIGNALS", _items(_signals(whole.name))),
        *_section("ENVIRONMENT", _items(meanings.items())),
        *_section("FILES", _items(_FILES[whole.name].items())),
        *_section("SEE ALSO", [f".BR {_OTHER[whole.name]} (1)"]),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f'.SH "{title}"' if " " in title else f".SH {title}"
    yield from lines


def _synopsis(whole: Command) -> str:
    return f".B {whole.name}\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]"


def _command(part: Command) -> Iterator[str]:
    positional = " ".join(option.value for option in part.options if not option.names)
    yield f'.SS "{_roff(part.name)}{" " * bool(positional)}{_roff(positional)}"'
    yield _roff(part.description)
    yield from _options(part)
    if part.example:
        yield from (".PP", "Example:", ".PP", ".EX", _roff(part.example), ".EE")


def _options(part: Command) -> Iterator[str]:
    for option in part.options:
        yield ".TP"
        yield _name(option)
        yield _roff(option.meaning)


def _name(option: Option) -> str:
    names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in option.names)
    return f"{names} \\fI{_roff(option.value)}\\fR".replace(" \\fI\\fR", "").strip()


def _items(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in items:
        yield f".TP\n.B {_roff(name)}\n{_roff(meaning)}"


def _codes(program: str) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for code in exit_codes.of_program(program):
        found.setdefault(code.value, []).append(code.meaning)
    return [(value, " ".join(found[value])) for value in sorted(found, key=int)]


def _signals(program: str) -> list[tuple[str, str]]:
    """Return the signals to a program and their meanings, from the page about signals."""
    page = (ROOT / "docs/signals.md").read_text(encoding="utf-8")
    heading = {"gigq": "## To `gigq worker`\n", "gigqd": "## To the supervisor\n"}[program]
    _head, *rows = _ROW.findall(page.partition(heading)[2].partition("\n## ")[0])
    return [(name, commands.sentence(_LINK.sub(r"\1", meaning))) for name, meaning in rows]


def _in_a_list(sentence: str) -> str:
    return _roff(sentence[0].lower() + sentence[1:].rstrip("."))


def _roff(text: str) -> str:
    """Escape a text; code in backticks becomes bold."""
    safe = _CODE.sub(r"\\fB\1\\fR", text.translate(_AS_TYPED))
    return f"\\&{safe}" if safe.startswith(".") else safe
