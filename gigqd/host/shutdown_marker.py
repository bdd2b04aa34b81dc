"""Record of runs without an orderly end, which may have left processes behind.

A daemon makes the file of its run beside the database before its first fork. When it ends and no
process of its jobs is left, it removes the file and writes the file `orderly`. A start searches all
processes of the host only where a dead run has a file, or where `orderly` is missing although a
queue was here: then the folder with these files was deleted.
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
    """The record of this daemon's run; make it before any other file beside the database.

    Args:
        database: the queue's file.
    """

    def __init__(self, database: str) -> None:
        self._database = Path(database)
        folder = run_locks.companion_path(database)
        self._was_nothing = not (self._database.exists() or folder.exists())
        self._path: Path | None = None

    def may_have_orphans(self) -> bool:
        """Return True when processes of a dead run may be left.

        Raises:
            OSError: the folder beside the database cannot be read.
        """
        if self._was_nothing:
            return False
        folder = run_locks.companion(self._database)
        if self._dead_runs(folder):
            return True
        # The other files are of live runs, each of which has searched at its start.
        return not ((folder / _ORDERLY).exists() or any(folder.glob(f"{_PREFIX}*")))

    def begin(self, run: str) -> None:
        """Record that a run has begun, and remove the files of dead runs, which are cleaned up.

        If the file cannot be made, the next start searches all the same: `orderly` is gone.

        Raises:
            OSError: the folder beside the database cannot be changed.
        """
        folder = run_locks.companion(self._database)
        for path in self._dead_runs(folder):
            path.unlink(missing_ok=True)
        (folder / _ORDERLY).unlink(missing_ok=True)
        self._path = folder / f"{_PREFIX}{run.split(':')[1]}"
        with suppress(OSError):
            private_files.write(self._path, run.encode())

    def end(self) -> None:
        """Record an orderly end; after an error the next start searches for processes."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                private_files.write(self._path.with_name(_ORDERLY), b"")

    def _dead_runs(self, folder: Path) -> list[Path]:
        runs = folder.glob(f"{_PREFIX}*")
        return [path for path in runs if not run_locks.is_alive(self._database, _read(path))]


def _read(path: Path) -> str:
    """Return the run in a file; a file that was just removed reads as empty, a dead run."""
    descriptor = private_files.open_file(path)
    try:
        return os.read(descriptor, _LONGEST).decode("ascii", "replace")
    finally:
        os.close(descriptor)
