"""Parser for the statement that created a table; parts stay as their author wrote them."""

from __future__ import annotations

import re
import string
from typing import NamedTuple

_WORD = re.compile(
    r"""--[^\n]*|/\*.*?\*/            # a comment
    |'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*\]
    |[\w$\x80-\U0010ffff]+|\s+|.""",
    re.DOTALL | re.VERBOSE,
)
_CONSTRAINTS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})
_CLAUSES = frozenset(
    {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE"}
    | {"REFERENCES", "GENERATED", "AS", "ON"}
)
_LOWER_CASE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class TableDefinition(NamedTuple):
    """A table as it was created and altered.

    Attributes:
        columns: the definition of each column, with its name, by the folded name.
        constraints: the constraints of the table as a whole.
        options: the text after the closing bracket.
    """

    columns: dict[str, str]
    constraints: list[str]
    options: str


def parse(statement: str) -> TableDefinition:
    """Split the statement that created a table into its parts, without comments."""
    parts, options = _parts(_WORD.findall(statement))
    definition = TableDefinition({}, [], options)
    for words in parts:
        text = "".join(words).strip()
        first = next((word for word in words if not word.isspace()), "")
        if first.upper() in _CONSTRAINTS:
            definition.constraints.append(text)
        elif first:
            definition.columns[folded(_unquoted(first))] = text
    return definition


def clauses_of(definition: str) -> tuple[str, str]:
    """Split the definition of a column into its folded name and the clauses after its type."""
    words = _WORD.findall(definition)
    name = folded(_unquoted(words[0])) if words else ""
    for place, word in enumerate(words[1:], 1):
        if word.upper() in _CLAUSES:
            return name, "".join(words[place:])
    return name, ""


def folded(name: str) -> str:
    """Return a name as SQLite compares it: without the case of ASCII letters."""
    return name.translate(_LOWER_CASE)


def quoted(name: str) -> str:
    """Return a name as an SQL identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def _parts(all_words: list[str]) -> tuple[list[list[str]], str]:
    parts: list[list[str]] = [[]]
    depth = 0
    for place, word in enumerate(all_words):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "(" and depth == 1:
            continue
        if word == ")" and depth == 0:
            return parts, "".join(all_words[place + 1 :]).strip()
        if word == "," and depth == 1:
            parts.append([])
        elif depth > 0:
            parts[-1].append(" " if word.startswith(("--", "/*")) else word)
    return parts, ""


def _unquoted(name: str) -> str:
    quote = name[0]
    if quote == "[":
        return name[1:-1]
    return name[1:-1].replace(quote * 2, quote) if quote in "\"'`" else name
