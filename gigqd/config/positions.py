"""The line of each key of a TOML text, which tomllib does not report."""

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str, ...]

# quotes of three come first, so that they are not taken for an empty string and a quote
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|\n|[\[\]{}=,.]"
    r"|[^\s\[\]{}=,.\"'\#]+",
    re.DOTALL,
)


def positions(text: str) -> list[tuple[Path, int]]:
    """Return every table header and key of a TOML text with its line, in order.

    Args:
        text: TOML; positions after a mistake in it may be wrong or missing. Nothing is raised.

    Returns:
        the dotted path as a tuple, and the line counted from 1; a repeated key appears again.
    """
    scanner = _Scanner()
    for piece, line in _pieces(text):
        scanner.take(piece, line)
    return scanner.found


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in _PIECE.finditer(text):
        yield match[0], line
        line += match[0].count("\n")


class _Scanner:
    """Reads a text piece by piece: table headers, keys and, to step over them, values."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, int]] = []
        self._table: Path = ()
        self._nested: list[tuple[str, Path]] = []  # the brackets a value has open, with its key
        self._key: list[str] = []
        self._key_line = 0
        self._path: Path = ()  # the key whose value is being read
        self._in_header = False
        self._in_value = False

    def take(self, piece: str, line: int) -> None:
        if piece.startswith("#"):
            return
        if self._in_value:
            self._step_over(piece)
        elif self._in_header:
            self._read_header(piece, line)
        else:
            self._read_key(piece, line)

    def _read_key(self, piece: str, line: int) -> None:
        if piece == "[" and not self._nested:
            self._in_header = True
        elif piece == "=" and self._key:
            prefix = self._nested[-1][1] if self._nested else self._table
            self._path = prefix + self._end_key()
            self.found.append((self._path, self._key_line))
            self._in_value = True
        elif piece == "}":
            self._step_over(piece)
        else:
            self._add_to_key(piece, line)

    def _read_header(self, piece: str, line: int) -> None:
        if piece == "\n":
            self._in_header = False
        elif piece == "]" and self._key:
            self._table = self._end_key()
            self.found.append((self._table, self._key_line))
        else:
            self._add_to_key(piece, line)

    def _step_over(self, piece: str) -> None:
        if piece in ("[", "{"):
            self._nested.append((piece, self._path))
        elif piece in ("]", "}") and self._nested:
            self._path = self._nested.pop()[1]
        in_table = bool(self._nested) and self._nested[-1][0] == "{"
        key_follows = piece in ("{", ",") and in_table
        self._in_value = not key_follows and (piece != "\n" or bool(self._nested))

    def _add_to_key(self, piece: str, line: int) -> None:
        if piece in ("\n", ".", ",", "=", "[", "]", "{"):
            return
        if not self._key:
            self._key_line = line
        self._key.append(_unquote(piece))

    def _end_key(self) -> Path:
        key, self._key = tuple(self._key), []
        return key


def _unquote(piece: str) -> str:
    if piece[0] not in "\"'":
        return piece
    try:
        return str(tomllib.loads(f"key = {piece}")["key"])
    except tomllib.TOMLDecodeError:
        return piece
