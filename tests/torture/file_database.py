"""A SQLite file on a small disk: locked, restored, and without room from time to time."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from torture import plan
from torture.database import Database
from torture.disk import Disk
from torture.history import Execution, JobRow, Records

if TYPE_CHECKING:
    from torture.database import Later
    from torture.notes import Notes
    from torture.plan import Fault

_ARRIVAL = 1.0
"""Seconds without a change after which a restored file is taken for complete."""

_ENTERED = 0o755
_READABLE = 0o644
_COMPANIONS = ("-wal", "-shm")


class FileDatabase(Database):
    """A file on a disk of its own.

    Args:
        home: the run's directory.
        duration: for how many seconds faults are made.
        notes: what is counted, and what is wrong.
    """

    deck = plan.FILE_DECK
    looks = (("stats",), ("list",), ("list", "--json"), ("backup", "COPY"))

    def __init__(self, home: Path, duration: float, notes: Notes) -> None:
        self.path = home / "disk" / "jobs.db"
        super().__init__(str(self.path), notes)
        self._disk = Disk(self.path.parent, duration)
        self._disk_is_full = False
        if not self._disk.small:
            self.remarks = ["no full disk: that needs root, for a small tmpfs"]

    def is_possible(self, fault: Fault) -> bool:
        """Whether a fault can be played now."""
        if fault.what in ("restore", "fill"):
            return not (self._disk_is_full or self._runs("restore"))
        return True

    def play(self, fault: Fault, later: Later) -> None:
        """Lock it, restore it, or fill its disk."""
        if fault.what == "fill":
            self._fill(fault.seconds, later)
            return
        self._notes.did(fault.what, seconds=fault.seconds)
        arguments = (str(self.path), str(fault.seconds))
        if fault.what == "lock":
            self._start("lock", "torture.holder", *arguments)
        else:
            self._start(
                "restore", "torture.restorer", *arguments, must_succeed=True, settles=_ARRIVAL
            )

    def disturbed_since(self, moment: float) -> bool:
        """Whether it was locked or away, or its disk full."""
        return self._disk_is_full or super().disturbed_since(moment)

    def read(self, *, check: bool = True) -> Records | None:
        """Read it through SQLite as everything that opens it."""
        with suppress(sqlite3.Error):
            return _read(self.path, check=check)
        return None

    def left_by_a_stop(self) -> list[str]:
        """A stop leaves one file."""
        files = [Path(f"{self.path}{suffix}") for suffix in _COMPANIONS]
        return [file.name for file in files if file.exists()]

    def place_of(self, runtime_dir: Path) -> Path:
        """The file itself."""
        return self.path

    def files(self) -> list[Path]:
        """All that is in its folder."""
        return list(self.path.parent.iterdir())

    def let_others_read(self) -> None:
        """Let other accounts reach and read the file, which is private by default."""
        for folder in self.path.parents[:2]:
            folder.chmod(_ENTERED)
        for suffix in ("", *_COMPANIONS):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").chmod(_READABLE)

    def keep(self, folder: Path) -> None:
        """Copy the database out of the small disk, which goes away with this process."""
        for file in self.path.parent.iterdir():
            if file.is_file() and file.name != "ballast":
                shutil.copy(file, folder)

    def _fill(self, seconds: float, later: Later) -> None:
        if not self._disk.small:
            return
        self._notes.did("full disk", seconds=seconds)
        self._disk_is_full = True
        self._disk.fill()
        later(seconds, self._free_disk)

    def _free_disk(self) -> None:
        self._disk.free()
        self._disk_is_full, self._clear_since = False, max(self._clear_since, time.monotonic())


def _read(database: Path, *, check: bool) -> Records:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("BEGIN")
        jobs = [JobRow.of(row) for row in connection.execute("SELECT * FROM jobs")]
        rows = connection.execute("SELECT * FROM job_executions")
        executions = [Execution.of(row) for row in rows]
        connection.execute("ROLLBACK")
        if not check:
            return Records(jobs, executions)
        integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        foreign = [str(tuple(row)) for row in connection.execute("PRAGMA foreign_key_check")]
    return Records(jobs, executions, [text for text in integrity if text != "ok"], foreign)
