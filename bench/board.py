"""A file in memory that every process of a run shares: what the job functions count and stamp.

A process takes one cell the first time it runs a job, and only ever writes that one, so that a job
which does nothing costs one addition. The file is named by the variable GIGQ_BENCH_BOARD.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "GIGQ_BENCH_BOARD"
WORDS = 4  # of a cell: the process, its parent, jobs run, unused
CELLS = 60_000
CELL = WORDS * 8
USED, STAMP, FIRST = 0, 1, 2  # words of the first cell: cells taken, last stamp, first stamp


@dataclass(frozen=True, slots=True)
class Cell:
    """What one process has done."""

    pid: int
    parent: int
    jobs: int


class Board:
    """The board as the measuring side sees it."""

    def __init__(self, path: Path) -> None:
        """Make an empty board at `path`."""
        path.write_bytes(b"")
        os.truncate(path, CELL * (CELLS + 1))
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._map).cast("Q")

    def jobs(self) -> int:
        """How many jobs have run so far."""
        words = self._words
        return sum(words[cell * WORDS + 2] for cell in range(1, words[USED] + 1))

    def cells(self) -> list[Cell]:
        """What each process has done."""
        words, starts = self._words, range(WORDS, (self._words[USED] + 1) * WORDS, WORDS)
        return [Cell(*words[start : start + 3]) for start in starts]

    def reset(self) -> None:
        """Forget all counts; processes keep their cells."""
        for cell in range(1, self._words[USED] + 1):
            self._words[cell * WORDS + 2] = 0
        self._words[STAMP] = self._words[FIRST] = 0

    def stamp(self) -> int:
        """The last stamp, in nanoseconds of the monotonic clock; 0 when there is none."""
        return self._words[STAMP]

    def first(self) -> int:
        """When the first job after the last reset ran, likewise."""
        return self._words[FIRST]

    def clear_stamp(self) -> None:
        """Make ready for the next stamp."""
        self._words[STAMP] = 0


def moments() -> Path:
    """The file beside the board to which jobs add the times of their starts."""
    return Path(f"{os.environ[VARIABLE]}.moments")


def opened() -> memoryview:
    """The words of the board that the environment names."""
    with Path(os.environ[VARIABLE]).open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")


def taken() -> tuple[memoryview, int]:
    """This process's own cell: the words of the board and where its count stands."""
    with Path(os.environ[VARIABLE]).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        shared = mmap.mmap(file.fileno(), 0)
        words = memoryview(shared).cast("Q")
        cell = min(words[USED] + 1, CELLS)
        struct.pack_into("QQ", shared, cell * CELL, os.getpid(), os.getppid())
        words[USED] = cell
        fcntl.flock(file, fcntl.LOCK_UN)  # the mapping keeps a duplicate, and with it the lock
    return words, cell * WORDS + 2
