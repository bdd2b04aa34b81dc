"""The record of runs that have not ended in order: a dead one may have left processes behind.

A daemon makes its file beside the database before its first fork and removes it when it has ended
and nothing is left of its jobs, and leaves the file `orderly`. A start looks
through the processes of the host only where a file of a dead run is there, or where `orderly` is
missing although a queue was here: then the folder was deleted, and with it what it would have said.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gigq.store.sqlite.file import private_files
from gigq.store.sqlite.processes import run_locks

_PREFIX, _ORDERLY = "run-", "orderly"
_LONGEST = 4096


class ShutdownMarker:
    """The record of this daemon's run on a database; to be made before anything beside that file.

    Args:
        database: the queue's file.
    """

    def __init__(self, database: str) -> None:
        self._database = Path(database)
        folder = run_locks.companion_path(database)
        self._was_nothing = not (self._database.exists() or folder.exists())
        self._path: Path | None = None

    def may_have_orphans(self) -> bool:
        """Return whether processes of a dead run have to be looked for.

        Raises:
            OSError: the folder beside the database cannot be read.
        """
        if self._was_nothing:
            return False
        folder = run_locks.companion(self._database)
        if self._dead_runs(folder):
            return True
        # Besides dead runs there are only living ones, each of which has looked when it began.
        return not ((folder / _ORDERLY).exists() or any(folder.glob(f"{_PREFIX}*")))

    def begin(self, run: str) -> None:
        """Record that a run has begun, and forget the dead ones, of which nothing is left.

        Where its file cannot be made, a start that finds no other daemon looks for processes:
        `orderly` is gone.

        Raises:
            OSError: the folder beside the database cannot be changed.
        """
        folder = run_locks.companion(self._database)
        for path in self._dead_runs(folder):
            path.unlink(missing_ok=True)
        (folder / _ORDERLY).unlink(missing_ok=True)
        self._path = folder / f"{_PREFIX}{run.split(':')[1]}"
        with suppress(OSError):
            _write(self._path, run)

    def end(self) -> None:
        """Record that the run has ended in order; an error costs the next start a look."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                _write(self._path.with_name(_ORDERLY), "")

    def _dead_runs(self, folder: Path) -> list[Path]:
        runs = folder.glob(f"{_PREFIX}*")
        return [path for path in runs if not run_locks.is_alive(self._database, _read(path))]


def _write(path: Path, text: str) -> None:
    descriptor = private_files.open_file(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _read(path: Path) -> str:
    """Return the run in a file; one that has just been removed reads as none, which is dead."""
    descriptor = private_files.open_file(path)
    try:
        return os.read(descriptor, _LONGEST).decode("ascii", "replace")
    finally:
        os.close(descriptor)
