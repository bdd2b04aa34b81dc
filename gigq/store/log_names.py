"""The files of SQLite beside a database in words: a message names only those that are there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

SUFFIXES = ("-wal", "-shm")


def beside(path: str) -> tuple[str, ...]:
    """Return the suffixes of the log and its index, of those that lie beside a database."""
    return tuple(suffix for suffix in SUFFIXES if os.path.lexists(path + suffix))


def together(suffixes: Collection[str]) -> str:
    """Return what must be kept of a damaged file, given what lies beside it."""
    names = [f"its {suffix}" for suffix in SUFFIXES if suffix in suffixes]
    if not names:
        return "the file"
    return f"{' and '.join([', '.join(['the file', *names[:-1]]), names[-1]])} together"


def the_log(path: str) -> str:
    """Return what must be moved away beside a database whose log belongs to another file."""
    return " and ".join(f"the {suffix}" for suffix in beside(path)) or "the -wal"
