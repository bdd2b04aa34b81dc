"""An operator who restores a database in use: `python -m torture.restorer FILE SECONDS`.

The file and its companions are moved away; an empty one appears and is filled little by little.
The copy is made half a second after the move: what was committed into the old file is in it.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

_COMMITS_END_WITHIN = 0.5
_PIECES = 20


def restore(database: Path, seconds: float) -> None:
    """Move the database away, and bring a copy of it back within some seconds."""
    aside = database.parent / "aside"
    aside.mkdir(mode=0o700)
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{database}{suffix}").rename(aside / f"{database.name}{suffix}")
    time.sleep(_COMMITS_END_WITHIN)
    _bring(database, _copy_of(aside / database.name), seconds)
    shutil.rmtree(aside)


def _copy_of(database: Path) -> bytes:
    copy = database.with_name("copy.db")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy.read_bytes()


def _bring(database: Path, content: bytes, seconds: float) -> None:
    """Write the file as `ssh HOST cat >` does: first it is empty, then it grows."""
    piece = len(content) // _PIECES + 1
    with database.open("xb", buffering=0) as file:
        database.chmod(0o644)
        for begin in range(0, len(content), piece):
            time.sleep(seconds / _PIECES)
            file.write(content[begin : begin + piece])


if __name__ == "__main__":
    restore(Path(sys.argv[1]), float(sys.argv[2]))
