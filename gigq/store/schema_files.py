"""The numbered files of the schema, the migrations, of each dialect."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "sql" / "schema"


def steps(dialect: str) -> list[tuple[int, Path]]:
    """Return the numbered schema files, `001_what.sql` first."""
    files = sorted((_FOLDER / dialect).glob("[0-9]*.sql"))
    return [(int(file.name.partition("_")[0]), file) for file in files]


@cache
def latest(dialect: str) -> int:
    """Return the version of the schema that this gigq works with."""
    return max(number for number, _ in steps(dialect))
