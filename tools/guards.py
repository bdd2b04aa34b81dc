"""Read the table of guards, find each guard in its function and take it out.

A row of `guards.toml` names a function, a class or an SQL statement (`where`), the text of the
guard and the text that remains without it. Spaces, line breaks and comments do not count. When
names were changed, the row still fits as long as one place has the same shape and the old names
are gone.
"""

from __future__ import annotations

import ast
import keyword
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tools" / "guards.toml"

_TOKEN = re.compile(r'"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\w+|\S')
_COMMENTS = {".py": r"#[^\n]*", ".sql": r"--[^\n]*"}
_STATEMENT = r"^-- name: {}$.*?(?=^-- name: |\Z)"


class Token(NamedTuple):
    """A word, a string or a sign of a source file, and its position."""

    text: str
    start: int
    end: int
    is_name: bool  # a rename may change it


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition, what is left without it, and the tests that must fail then."""

    name: str
    file: str
    where: str
    text: str
    without: str
    tests: tuple[str, ...]

    def taken_out(self, source: str) -> str:
        """Return the source without the guard; raise LookupError unless one place fits."""
        first, last = _range_of(self.where, self.file, source)
        suffix = Path(self.file).suffix
        wanted = list(_tokens(self.text, suffix))
        found = [one for one in _tokens(source, suffix) if first <= one.start < last]
        exact = [place for place in _places(wanted, found) if _is_same(wanted, place)]
        places = exact or [
            place for place in _places(wanted, found) if _is_renamed(place, wanted, found)
        ]
        if len(places) != 1:
            where = f"{self.where} of {self.file}" if self.where else self.file
            raise LookupError(f"{len(places)} places in {where} fit {self.text!r}")
        return self._replaced(source, places[0], wanted)

    def _replaced(self, source: str, place: list[Token], wanted: list[Token]) -> str:
        """Return the source with the guard's place changed, under the names of today."""
        today = {old.text: new.text for old, new in zip(wanted, place, strict=True)}
        without = re.sub(r"\w+", lambda word: today.get(word[0], word[0]), self.without)
        line = source[source.rfind("\n", 0, place[0].start) + 1 : place[0].start]
        indent = line[: len(line) - len(line.lstrip())]
        lines = without.replace("\n", f"\n{indent}")
        return source[: place[0].start] + lines + source[place[-1].end :]


def read_guards(table: Path = TABLE) -> list[Guard]:
    """Return the table; a guard that names no tests has those of its part."""
    return [
        Guard(row["name"], part["file"], row.get("where", ""), row["text"].strip(),
              row["without"], tuple(row.get("tests", part["tests"])))
        for part in tomllib.loads(table.read_text(encoding="utf-8"))["part"]
        for row in part["guards"]
    ]  # fmt: skip


def _tokens(source: str, suffix: str) -> Iterator[Token]:
    """Yield the tokens of a text without its comments."""
    comment = re.compile(_COMMENTS[suffix])
    is_keyword = keyword.iskeyword if suffix == ".py" else str.isupper
    at = 0
    while found := _TOKEN.search(source, at):
        skipped = comment.match(source, found.start())
        if skipped is None:
            is_name = found[0].isidentifier() and not is_keyword(found[0])
            yield Token(found[0], *found.span(), is_name)
        at = (skipped or found).end()


def _places(wanted: list[Token], found: list[Token]) -> Iterator[list[Token]]:
    """Yield each run of tokens that has the shape of the wanted ones."""
    shape = [None if one.is_name else one.text for one in wanted]
    shapes = [None if one.is_name else one.text for one in found]
    for at in range(len(found) - len(wanted) + 1):
        if shapes[at : at + len(shape)] == shape:
            yield found[at : at + len(shape)]


def _is_same(wanted: list[Token], place: list[Token]) -> bool:
    return [one.text for one in wanted] == [one.text for one in place]


def _is_renamed(place: list[Token], wanted: list[Token], found: list[Token]) -> bool:
    """Return whether the place differs by renames only: the old names are gone."""
    pairs = {(old.text, new.text) for old, new in zip(wanted, place, strict=True)}
    changed = {old for old, new in pairs if old != new}
    consistent = len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
    return consistent and changed.isdisjoint(one.text for one in found)


def _range_of(where: str, file: str, source: str) -> tuple[int, int]:
    """Return where the function, class or statement begins and ends in the source."""
    if not where:
        return 0, len(source)
    if file.endswith(".sql"):
        found = re.search(_STATEMENT.format(where), source, re.MULTILINE | re.DOTALL)
        ranges = [found.span()] if found else []
    else:
        lines = [0, *(line.end() for line in re.finditer("\n", source)), len(source)]
        ranges = [
            (lines[node.lineno - 1], lines[node.end_lineno or node.lineno])
            for name, node in definitions(ast.parse(source))
            if name == where
        ]
    if len(ranges) != 1:
        raise LookupError(f"{file} has {len(ranges)} definitions of {where}")
    return ranges[0]


def definitions(tree: ast.AST, before: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Yield the functions and classes of a module under their qualified names."""
    for node in ast.iter_child_nodes(tree):
        name = before
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{before}.{node.name}".lstrip(".")
            yield name, node
        yield from definitions(node, name)
