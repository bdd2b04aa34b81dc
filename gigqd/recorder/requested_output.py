"""Storage of the output of running attempts that readers on other hosts request."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from gigq.output_file import OutputFile, open_output
from gigq.store.verbs import live_output
from gigq.store.verbs.live_output import Part
from gigqd.ipc.scoreboard import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigq.store.database import Database
    from gigqd.ipc.scoreboard import Report

_INTERVAL = 0.9  # the recorder sleeps for 0.9 to 1 s
_MOST_PARTS = 16


class RequestedOutput:
    """Stores what is added to requested outputs, once a second.

    Without a request for an attempt of this daemon it sends no statement, except one when a
    request expires: each daemon deletes those, because the one that has answered may be gone.

    Args:
        database: the database.
        run: the daemon's run.
        kept_of: returns the number of bytes to keep of an output, by the name of the pool.
        reports: returns the last report of every worker.
    """

    def __init__(
        self,
        database: Database,
        run: str,
        kept_of: Callable[[str], int],
        reports: Callable[[], Iterable[Report]],
    ) -> None:
        self._database = database
        self._run = run
        self._kept_of = kept_of
        self._reports = reports
        self._outputs: dict[str, _Output | None] = {}
        self._requested: frozenset[str] | None = None

    def follow(self, requested: frozenset[str]) -> None:
        """Note the attempts of all daemons whose output is requested.

        Raises:
            StoreError: the database cannot be used.
        """
        if self._requested is None or self._requested - requested:
            live_output.forget_expired(self._database)
        self._requested = requested

    def store(self) -> None:
        """Store what was added to the outputs whose turn it is.

        Raises:
            StoreError: the database cannot be used.
        """
        if not self._requested and not self._outputs:
            return
        running = self._running()
        for execution_id in self._outputs.keys() - running:
            self._close(execution_id)
        if running - self._outputs.keys():
            for row in live_output.requested(self._database, self._run):
                self._begin(row["execution_id"], row["worker_id"] or "", running)
        now = time.monotonic()
        for execution_id, output in self._outputs.items():
            if output is not None and now >= output.due_at:
                output.due_at = now + _INTERVAL
                self._store(execution_id, output)

    def _running(self) -> set[str]:
        """Return the requested attempts whose functions run in workers of this daemon."""
        busy = {one.execution for one in self._reports() if one.activity is Activity.BUSY}
        return busy & (self._requested or frozenset())

    def _begin(self, execution_id: str, worker_id: str, running: set[str]) -> None:
        if execution_id not in running or execution_id in self._outputs:
            return
        kept = self._kept_of(worker_id.partition("/")[0])
        file = _opened(worker_id) if kept else None
        self._outputs[execution_id] = None if file is None else _Output(file, kept)
        unread = live_output.NOT_READABLE if kept else live_output.NOT_KEPT
        answer = unread if file is None else live_output.STORED
        live_output.answer(self._database, execution_id, self._run, answer)

    def _store(self, execution_id: str, output: _Output) -> None:
        part = output.read()
        # The worker empties the file between its report of one attempt and that of the next.
        if part is None or execution_id not in self._running():
            return
        is_stored, first = False, output.first
        try:
            is_stored = live_output.store(self._database, execution_id, self._run, part, first)
        finally:
            if not is_stored:
                output.begin()

    def _close(self, execution_id: str) -> None:
        output = self._outputs.pop(execution_id)
        if output is not None:
            output.file.close()


class _Output:
    """An output of which the last bytes are stored, in parts.

    Attributes:
        due_at: the time of the next read, in seconds of the monotonic clock.
        file: the file.
    """

    def __init__(self, file: OutputFile, kept: int) -> None:
        self.due_at = 0.0
        self.file = file
        self._kept = kept
        self._tail = b""
        self.begin()

    def begin(self) -> None:
        """Start anew: the next part holds all that is kept."""
        self._starts: deque[int] = deque()

    @property
    def first(self) -> int:
        """The start of the first part to keep."""
        return self._starts[0]

    def read(self) -> Part | None:
        """Return the part to store next; None when nothing was added."""
        before = self.file.position
        added = self.file.read(self._kept)
        if not added and (self._starts or not self._tail):
            return None
        end = self.file.position
        is_gapless = end - len(added) == before
        self._tail = ((self._tail if is_gapless else b"") + added)[-self._kept :]
        if not self._starts or len(self._starts) >= _MOST_PARTS:
            # One part for all others, since a job may add a few bytes each second for hours.
            self._starts = deque((end - len(self._tail),))
            return Part(self.first, self._tail)
        self._starts.append(end - len(added))
        while len(self._starts) > 1 and self._starts[1] <= end - self._kept:
            self._starts.popleft()
        return Part(end - len(added), added)


def _opened(worker_id: str) -> OutputFile | None:
    try:
        return open_output(os.getppid(), worker_id)
    except PermissionError:
        return None
