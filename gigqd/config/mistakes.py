"""The report of mistakes: values in words, near names, and the place of an error in TOML."""

import re
import tomllib
from collections.abc import Iterable

from gigq.nearest import nearest
from gigq.terminal import printable
from gigqd.config.positions import Path, positions
from gigqd.errors import Problem

_TYPE_NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}
_POSITION = re.compile(r" \(at (?:line (?P<line>[0-9]+), column [0-9]+|end of document)\)$")
_REPEATED = re.compile(r"overwrite|twice|[Dd]uplicate|redefine|mutate")
# A value on the line of a mistake, or an item of its list or table, that has no quotes.
_BARE = re.compile(
    r"""(?:[=\[,{]|^)\s*(?P<word>[^\s,=\[\]{}"'#]([^,=\[\]{}"'#]*?[^\s,=\[\]{}"'#])?)\s*(?=[,\]}#]|$)"""
)
_NO_VALUE = re.compile(r"Invalid value|Expected newline or end of document")
_LONGEST_LINE = 1000


def type_name(raw: object) -> str:
    """Return the type of a TOML value, in words."""
    return _TYPE_NAMES.get(type(raw), "a date or time")


def shorten(value: str, limit: int = 60) -> str:
    """Return a value that is printable, on one line, and not longer than `limit` characters."""
    text = printable(value[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quote(raw: str) -> str:
    """Return text as a TOML basic string."""
    escaped = raw.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'


def hint(near: str | None) -> str:
    """Return the end of a message that offers a word; empty without one."""
    return f'; did you mean "{near}"?' if near else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that offers the nearest known word; empty when none is near."""
    return hint(nearest(word, known))


def syntax_problem(name: str, text: str, error: Exception) -> Problem:
    """Return the mistake that tomllib has refused, with key, line and, if possible, a remedy."""
    if isinstance(error, RecursionError):
        return Problem(name, None, "", "not valid TOML: nested too deeply")
    message = str(error)
    match = _POSITION.search(message)
    if match is None:
        return Problem(name, None, "", f"not valid TOML: {message}")
    line = int(match["line"]) if match["line"] else text.count("\n", 0, len(text.rstrip())) + 1
    repeated = _repeated(name, text, line) if _REPEATED.search(message) else None
    return repeated or _with_remedy(name, text, line, message[: match.start()])


def _with_remedy(name: str, text: str, line: int, reason: str) -> Problem:
    said = f"not valid TOML: {reason}"
    if reason.startswith("Illegal character '\\n'"):
        return Problem(name, line, "", f"{said}; a quote is not closed")
    word = _bare_word(text.split("\n")[line - 1]) if _NO_VALUE.match(reason) else None
    keys = next((keys for keys, at in reversed(positions(text)) if at <= line), ())
    if word is None or not keys:
        return Problem(name, line, "", said)
    shown = "" if keys[:2] == ("code", "environment") else f": {quote(word)}"
    return Problem(name, line, ".".join(keys), f"{said}; text is written in quotes{shown}")


def _bare_word(line: str) -> str | None:
    """Return a word without quotes where TOML requires a value, or None."""
    if len(line) > _LONGEST_LINE or ("=" not in line and line.lstrip().startswith("[")):
        return None
    return next((f["word"] for f in _BARE.finditer(line) if not _is_value(f["word"])), None)


def _is_value(word: str) -> bool:
    try:
        tomllib.loads(f"key = {word}")
    except ValueError:
        return False
    return True


def _repeated(name: str, text: str, error_line: int) -> Problem | None:
    """Return the problem with a key or table that is given twice, which tomllib words obscurely."""
    seen: dict[Path, int] = {}
    repeats = None
    for keys, line in positions("\n".join(text.split("\n")[:error_line])):
        repeats = (keys, line) if keys in seen else None
        seen.setdefault(keys, line)
    if repeats is None:
        return None
    keys, line = repeats
    return Problem(name, line, ".".join(keys), f"given twice; the first is on line {seen[keys]}")
