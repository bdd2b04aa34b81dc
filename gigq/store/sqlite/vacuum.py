"""Return of free pages to the disk, from the end of the file, a few at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigq.store.database import Database, Session

_SPARE = 2560
"""Free pages (10 MiB) that a file always keeps, since new jobs use them soon."""

_FIRST = 32
_MOST = 256
_LONG = 0.003


class BatchSize:
    """The size of a batch, which follows from the time that the last one took.

    Args:
        first: size of the first batch.
        most: maximum size.
        longest: seconds that a batch may take.
    """

    def __init__(self, first: int, most: int, longest: float = _LONG) -> None:
        self.number = first
        self._most = most
        self._longest = longest

    def adapt(self, seconds: float) -> None:
        """Halve the size after a long batch, double it after a short one."""
        if seconds > self._longest:
            self.number = max(1, self.number // 2)
        elif seconds < self._longest / 2:
            self.number = min(self._most, self.number * 2)


class Vacuum:
    """One pass over the free pages, in batches that hold the write lock for a few ms at most.

    It begins when a quarter of the file is free, and leaves half of that: a queue that fills and
    empties would otherwise move pages all the time. The file gets shorter at the next checkpoint.
    A file without auto_vacuum, of an earlier gigq, keeps its free pages.

    Args:
        database: the database.

    Attributes:
        size: bytes of the file after the next checkpoint; 0 while no page was returned.
    """

    def __init__(self, database: Database) -> None:
        self.size = 0
        self._database = database
        self._size = BatchSize(_FIRST, _MOST)
        self._goal: int | None = None

    def batch(self) -> bool:
        """Return a few pages to the disk.

        Returns:
            False when the pass is over.

        Raises:
            StoreError: this batch returned nothing; the call may be repeated.
        """
        if self._goal is None and not self._begin():
            return False
        with self._database.transaction(durable=False) as session:
            began = time.monotonic()
            left = _number(session, "freelist_count") - (self._goal or 0)
            if left <= 0:
                return False
            # SQLite frees one page for each row that is fetched.
            session.connection.execute(
                f"PRAGMA incremental_vacuum({min(left, self._size.number)})"
            ).fetchall()
            self.size = _number(session, "page_count") * _number(session, "page_size")
        self._size.adapt(time.monotonic() - began)
        return True

    def _begin(self) -> bool:
        with self._database.read() as session:
            free, pages = _number(session, "freelist_count"), _number(session, "page_count")
            is_possible = _number(session, "auto_vacuum") > 0
        if not is_possible or free <= max(_SPARE, pages // 4):
            return False
        self._goal = max(_SPARE, pages // 4) // 2
        return True


def vacuum(database: Database) -> None:
    """Make a whole pass.

    Raises:
        StoreError: the rest of the pass was not done.
    """
    one = Vacuum(database)
    while one.batch():
        pass


def _number(session: Session, what: str) -> int:
    return int(session.connection.execute(f"PRAGMA {what}").fetchone()[0])
