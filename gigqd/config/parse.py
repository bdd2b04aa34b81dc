"""The configuration file as values with the lines on which they stand, or its mistakes."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.nearest import nearest
from gigqd.config.mistakes import hint, suggest, syntax_problem, type_name
from gigqd.config.positions import positions
from gigqd.config.schema import DOTTED, TABLES, PoolConfig, Table
from gigqd.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Keys = tuple[str, ...]

POOL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")

_MAX_BYTES = 1024**2
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Given(NamedTuple):
    """One value as it is written, and the environment variable that holds it, if one does."""

    raw: object
    variable: str = ""


Settings = dict[Keys, Given]


class Source:
    """A file that was read: its name, its content and the line of each key.

    Args:
        name: the path as the user knows it.
        text: the content of the file.

    Raises:
        ConfigError: the text is no TOML.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        try:
            self.document: Mapping[str, Any] = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError([syntax_problem(name, text, error)]) from None

    def problem(self, keys: Keys, message: str) -> Problem:
        """Return a problem with one key, at its line or that of the nearest table above it."""
        places = (self._line_of(keys[:end]) for end in range(len(keys), 0, -1))
        line = next((place for place in places if place), None)
        return Problem(self.name, line, ".".join(keys), message)

    def pool_names(self) -> list[str]:
        """Return the names of the pools that the file declares, also of those that set no key."""
        pools = self.document.get("pools")
        if not isinstance(pools, dict):
            return []
        return [name for name, pool in pools.items() if isinstance(pool, dict)]

    def _line_of(self, keys: Keys) -> int | None:
        """Return the line of a key; a table without a header begins with its first key."""
        if line := self._lines.get(keys):
            return line
        inside = (line for path, line in self._lines.items() if path[: len(keys)] == keys)
        return min(inside, default=None)

    @cached_property
    def _lines(self) -> dict[Keys, int]:
        # a table may be opened again by a dotted key; the first line is the one to show
        return dict(reversed(positions(self._text)))


def read_source(path: Path) -> Source:
    """Read and parse a configuration file.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not TOML in UTF-8.
    """
    return Source(str(path), _decode(str(path), read_limited(path)))


def read_limited(path: Path) -> bytes:
    """Return the bytes of a regular file of at most 1 MiB.

    Raises:
        ConfigError: it is missing, unreadable, not a regular file, or larger.
    """
    try:
        # a pipe would block an ordinary open until another process writes to it
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _read_regular(fd)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(str(path), None, "", _reason(error))]) from None


def _read_regular(fd: int) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise _UnfitFileError(f"is {kind}; a file is needed")
    content = b""
    while len(content) <= _MAX_BYTES and (part := os.read(fd, _MAX_BYTES + 1 - len(content))):
        content += part
    if len(content) > _MAX_BYTES:
        raise _UnfitFileError("is larger than 1 MiB")
    return content


class _UnfitFileError(ValueError):
    """A file that can be opened but not used."""


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, _UnfitFileError):
        return str(error)
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


def from_file(source: Source) -> tuple[Settings, list[Problem]]:
    """Return the keys that a file sets, and its unknown names and misplaced values."""
    settings: Settings = {}
    problems: list[Problem] = []
    for keys, raw, message in _walk(source.document):
        if message:
            problems.append(source.problem(keys, message))
        else:
            settings[keys] = Given(raw)
    return settings, problems


_Found = tuple[Keys, object, str]
"""A key, its value, and what is wrong with the two; empty when nothing is."""


def _walk(document: Mapping[str, Any]) -> Iterator[_Found]:
    for table, content in document.items():
        if table not in (*TABLES, "pools"):
            yield (table,), content, _unknown_table(table, content)
        elif not isinstance(content, dict):
            yield (table,), content, f"must be a table, not {type_name(content)}"
        elif table == "pools":
            yield from _walk_pools(content)
        else:
            yield from _walk_table((table,), content, TABLES[table])


def _walk_pools(pools: Mapping[str, Any]) -> Iterator[_Found]:
    for name, content in pools.items():
        keys = ("pools", name)
        if not isinstance(content, dict):
            remedy = "; write it in [pools.default]" if name in PoolConfig.KEYS else ""
            yield keys, content, f"must be a table, not {type_name(content)}{remedy}"
            continue
        if not POOL_NAME.fullmatch(name):
            yield keys, content, "a pool's name is letters and digits joined by - or _"
        yield from _walk_table(keys, content, PoolConfig)


def _walk_table(table: Keys, content: Mapping[str, Any], cls: type[Table]) -> Iterator[_Found]:
    for name, raw in content.items():
        keys = (*table, name)
        if name not in cls.KEYS:
            yield keys, raw, f"unknown key{_remedy(name, cls)}"
        elif not cls.KEYS[name].is_table:
            yield keys, raw, ""
        elif isinstance(raw, dict):
            yield from (((*keys, variable), value, "") for variable, value in raw.items())
        else:
            yield keys, raw, f"must be a table, not {type_name(raw)}"


def _unknown_table(name: str, content: object) -> str:
    if isinstance(content, dict):
        return f"unknown table{suggest(name, [*TABLES, 'pools'])}"
    return f"unknown key outside any table{_remedy(name, Table)}"


def _remedy(name: str, cls: type[Table]) -> str:
    """Name the key that replaces an old one, else one that is near, here or in another table."""
    if new := cls.renamed(name):
        return f"; it is called {new} now"
    elsewhere = {dotted.rpartition(".")[2]: dotted for dotted in DOTTED}
    elsewhere |= {key: f"pools.<name>.{key}" for key in PoolConfig.KEYS}
    return suggest(name, cls.KEYS) or hint(elsewhere.get(nearest(name, elsewhere) or ""))
