"""Names of SQLite's files beside a database for messages, which name only existing ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

SUFFIXES = ("-wal", "-shm")

TO_BEGIN = (
    "to begin a new queue there, run `gigqd check --init --config FILE` as the daemon's account, "
    "or `gigq --db FILE worker --init`"
)


def beside(path: str) -> tuple[str, ...]:
    """Return the suffixes of the log and its index that exist beside a database."""
    return tuple(suffix for suffix in SUFFIXES if os.path.lexists(path + suffix))


def together(suffixes: Collection[str]) -> str:
    """Return the words for the files to keep of a damaged database."""
    names = [f"its {suffix}" for suffix in SUFFIXES if suffix in suffixes]
    if not names:
        return "the file"
    return f"{' and '.join([', '.join(['the file', *names[:-1]]), names[-1]])} together"


def the_log(path: str) -> str:
    """Return the words for the files to move away when the log belongs to another file."""
    return " and ".join(f"the {suffix}" for suffix in beside(path)) or "the -wal"
