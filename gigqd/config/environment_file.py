"""Files of NAME=value lines, as systemd and shells keep them for a service's environment."""

import re
from pathlib import Path

from gigqd.config.parse import read_limited
from gigqd.config.value_types import unencodable
from gigqd.errors import ConfigError, Problem

RESERVED = "GIGQD_"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[^=\s]*)\s*=[ \t]*(?P<rest>.*)", re.DOTALL)
_VALUE = re.compile(
    r"""(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>[^']*)'|(?P<bare>[^"'#\s](?:[^#]|(?<!\s)\#)*)?)
        \s*(?:\#.*)?""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def read_environment_file(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """Return the variables of an environment file.

    One NAME=value a line; empty lines and lines that start with # or ; are skipped. A value in
    single quotes is taken as it stands; in double quotes a backslash escapes the next character;
    without quotes it ends at the line's end or at a # after white space. Nothing is expanded.

    Returns:
        the variables, the last line winning, and every problem with its line.
    """
    try:
        content = read_limited(path)
    except ConfigError as error:
        return {}, list(error.problems)
    try:
        return parse_environment(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return {}, [Problem(str(path), line, "", "is not UTF-8")]


def parse_environment(text: str, file: str) -> tuple[dict[str, str], list[Problem]]:
    """Return the variables of an environment file's text; `file` names it in problems."""
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        try:
            name, value = _parse_line(stripped)
            if problem := unencodable(value):
                raise ValueError(f"{name}: the value {problem}")
            variables[name] = value
        except ValueError as error:
            problems.append(Problem(file, number, "", str(error)))
    return variables, problems


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a variable for workers.

    Raises:
        ValueError: it is no name, or one that the daemon sets itself.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a variable's name is letters, digits and _")
    if name.startswith(RESERVED):
        raise ValueError(f"names that start with {RESERVED} are set by gigqd itself")


def _parse_line(line: str) -> tuple[str, str]:
    # values are not quoted in messages: this is where secrets are kept
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ValueError("expected NAME=value")
    check_name(parts["name"])
    value = _VALUE.fullmatch(parts["rest"])
    if value is None:
        raise ValueError(f"{parts['name']}: a quote is not closed, or something follows it")
    if "\0" in parts["rest"]:
        raise ValueError(f"{parts['name']}: the value holds a zero byte")
    if value["double"] is not None:
        unescaped = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), value["double"])
        return parts["name"], unescaped
    return parts["name"], value["single"] or (value["bare"] or "").rstrip()
