"""Reads the configuration file: bytes, text, TOML and where each key stands, or the problems."""

import errno
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gigqd.config.kinds import quote
from gigqd.config.positions import positions
from gigqd.errors import ConfigError, Problem

MAX_BYTES = 1024**2

_POSITION = re.compile(r" \(at (?:line (?P<line>[0-9]+), column [0-9]+|end of document)\)$")
_REPEATED = re.compile(r"overwrite|twice|[Dd]uplicate|redefine|mutate")
# A value on the line of a mistake, or an item of its list or table, that has no quotes.
_BARE = re.compile(
    r"""(?:[=\[,{]|^)\s*(?P<word>[^\s,=\[\]{}"'#]([^,=\[\]{}"'#]*?[^\s,=\[\]{}"'#])?)\s*(?=[,\]}#]|$)"""
)
_NO_VALUE = re.compile(r"Invalid value|Expected newline or end of document")
_LONGEST_LINE = 1000
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its name, what it says and where each key stands."""

    name: str
    document: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def problem(self, keys: tuple[str, ...], message: str) -> Problem:
        """A problem with one key, or with the nearest table above it that has a line."""
        places = (self._line_of(keys[:end]) for end in range(len(keys), 0, -1))
        line = next((place for place in places if place), None)
        return Problem(self.name, line, ".".join(keys), message)

    def _line_of(self, keys: tuple[str, ...]) -> int | None:
        """Where a key stands; a table without a header of its own begins with what is in it."""
        inside = (line for path, line in self.lines.items() if path[: len(keys)] == keys)
        return self.lines.get(keys) or min(inside, default=None)


def read_source(path: Path) -> Source:
    """Read and parse a configuration file.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not TOML in UTF-8.
    """
    text = _decode(str(path), read_limited(path))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([_syntax_problem(str(path), text, error)]) from None
    # a table may be opened again by a dotted key; the first line is the one to show
    return Source(str(path), document, dict(reversed(positions(text))))


def read_limited(path: Path) -> bytes:
    """The bytes of a regular file of at most 1 MiB.

    Raises:
        ConfigError: it is missing, unreadable, not a regular file, or larger.
    """
    try:
        # a pipe would block an ordinary open until somebody writes to it
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(str(path), None, "", _open_message(error))]) from None
    try:
        return _read_regular(path, fd)
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", _open_message(error))]) from None
    finally:
        os.close(fd)


def _read_regular(path: Path, fd: int) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise ConfigError([Problem(str(path), None, "", f"is {kind}; a file is needed")])
    content = b""
    while len(content) <= MAX_BYTES and (part := os.read(fd, MAX_BYTES + 1 - len(content))):
        content += part
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(str(path), None, "", "is larger than 1 MiB")])
    return content


def _open_message(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return "is not a path"
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno == errno.EACCES:
        return "permission denied; the file must be readable for the account of gigqd"
    return f"cannot be read: {error.strerror}"


def _decode(name: str, content: bytes) -> str:
    if content.startswith(_UTF16_MARKS):
        raise ConfigError([Problem(name, 1, "", "is UTF-16; save it as UTF-8")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(name, line, "", "is not UTF-8; save it as UTF-8")]) from None


def _syntax_problem(name: str, text: str, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(name, None, "", "not valid TOML: nested too deeply")
    message = str(error)
    match = _POSITION.search(message)
    if match is None:
        return Problem(name, None, "", f"not valid TOML: {message}")
    line = int(match["line"]) if match["line"] else text.count("\n", 0, len(text.rstrip())) + 1
    repeated = _repeated(name, text, line) if _REPEATED.search(message) else None
    reason = message[: match.start()]
    return repeated or _with_remedy(name, text, line, reason)


def _with_remedy(name: str, text: str, line: int, reason: str) -> Problem:
    """The problem with a text that is no TOML, and how to mend a value without its quotes."""
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
    """What stands without quotes where TOML wants a value; None when nothing does."""
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
    """The problem with a key or table that was given before, which tomllib words obscurely."""
    seen: dict[tuple[str, ...], int] = {}
    last: tuple[tuple[str, ...], int] | None = None
    for keys, line in positions("\n".join(text.split("\n")[:error_line])):
        last = (keys, line) if keys in seen else None
        seen.setdefault(keys, line)
    if last is None:
        return None
    keys, line = last
    return Problem(name, line, ".".join(keys), f"given twice; the first is on line {seen[keys]}")
