"""The keeper's rounds: what it looks after in every turn while the database is in order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigq import clock
from gigq.store import checkpoint, claims, health, identity, migrate, raw_changes, wakeup
from gigq.waiting import seconds_until
from gigqd.scoreboard import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigq.store.connect import StoreConnection
    from gigq.store.database import Database
    from gigqd.scoreboard import Report

_TIDY_AFTER = 5.0
_LOOK_EVERY = 1.0
_SLOW = 1.0


class Rounds:
    """Looks after the file, the jobs that came due unheard, and requests to cancel.

    A connection may go on from memory for long. So that trouble is known before it costs
    anything: the file is read anew when its size or time has changed, be it by a checkpoint; the
    write lock is tried every second; and a page is written when jobs are due, when an
    outcome takes long to be taken, and at the end of every trouble.

    Args:
        database: the database.
        path: its file.
        run: the daemon's run.
        served: the queues of each pool, as patterns.
        board: what every worker last said.
        beat: called now and then while all of the file is read.
        tell: sends a message to the supervisor.
    """

    def __init__(
        self,
        database: Database,
        path: str,
        run: str,
        served: Iterable[tuple[str, ...]],
        board: Callable[[], list[Report]],
        beat: Callable[[], None],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._database = database
        self._path = path
        self._run = run
        self._patience = database.lock_timeout
        self._board = board
        self._beat = beat
        self._tell = tell
        # Of the pools from the start: a pipe that is not open here cannot be missed.
        self._pipes = [*(wakeup.Listener(path, each) for each in set(served))]
        self._other_pipes = wakeup.OpenPipes(path)
        self._cancels: list[str] | None = None
        self.begin()

    def begin(self, *, damaged: bool = False) -> None:
        """Take nothing for granted: the file may be another one, or its trouble is just over.

        Args:
            damaged: the trouble was with the file itself, so all of it is to be read.
        """
        self._in_doubt = True
        self._damaged = damaged
        self._stamp: tuple[int, int] = (0, 0)
        self._expected = float("inf")
        self._version = (0, 0)
        self._due_at: str | None = None
        self._next_due_at: str | None = None
        self._due_in: list[str] = []
        self._look_at = 0.0
        self._tidy_at = 0.0

    def go(self, connection: StoreConnection) -> bool:
        """Look once.

        Returns:
            Whether anybody has committed since the last look.

        Raises:
            StoreError: the database cannot be used.
        """
        now = time.monotonic()
        changed = self._has_changed(connection)
        if changed:
            migrate.refuse_newer(self._database)
            self._relay_cancels()
            raw_changes.follow(self._database)
            self._due_at = claims.next_due_at(self._database)
            self._due_in = claims.queues_with_due_jobs(self._database)
        self._wake(changed=changed)
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self._renew_pipes()
            identity.require_access(self._path)
            self._try_to_write(connection, now)
        self._tidy(connection, now, changed=changed)
        return changed

    def close(self) -> None:
        """Leave the pipes; those on which no worker waits are removed."""
        for pipe in self._pipes:
            pipe.close()
        self._other_pipes.close()

    # --- the file ----------------------------------------------------------------------------

    def look_at_file(self) -> None:
        """Read the file anew when somebody else has written to it; all of it when it was cut.

        Raises:
            StoreError: it is damaged, or cannot be read.
        """
        stamp = identity.stamp(self._path)
        if stamp == self._stamp:
            return
        has_shrunk = stamp[0] < self._stamp[0]
        if self._damaged or (has_shrunk and stamp[0] < self._expected):
            health.require_whole(self._path, self._patience, self._beat)
        else:
            health.require_readable(self._path, self._patience)
        if has_shrunk:
            self._expected = float("inf")
        self._stamp, self._damaged = stamp, False

    def expect_size(self, size: int) -> None:
        """Free pages are given back: the file may become as short as this, in bytes, once."""
        self._expected = size

    def _try_to_write(self, connection: StoreConnection, now: float) -> None:
        if self._in_doubt or self._is_wanted(now):
            health.require_writable(connection, self._patience)
            self._in_doubt = False
        else:
            health.require_lock(connection, self._patience)

    def _is_wanted(self, now: float) -> bool:
        """Whether somebody needs to write: jobs are due, or an outcome is not taken."""
        return bool(self._due_in) or any(
            report.activity is Activity.SETTLING and now - report.since > _SLOW
            for report in self._board()
        )

    def _tidy(self, connection: StoreConnection, now: float, *, changed: bool) -> None:
        """Keep the log short; once nothing has been written for a while, without its room."""
        if changed:
            self._tidy_at = now + _TIDY_AFTER
            if checkpoint.wal_size(self._path) >= checkpoint.LONG:
                checkpoint.shorten(connection)
        elif now >= self._tidy_at:
            self._tidy_at = now + _TIDY_AFTER
            if checkpoint.wal_room(self._path):
                checkpoint.shorten(connection, truncate=True)

    # --- the jobs ----------------------------------------------------------------------------

    def _has_changed(self, connection: StoreConnection) -> bool:
        """Whether anybody has committed since the last look; otherwise all is as it was."""
        before = self._version
        version = health.version_of(connection, self._patience)
        self._version = (version, connection.total_changes)
        return self._version != before

    def until_due(self, longest: float) -> float:
        """Return the seconds until the next delayed job is due, `longest` at most."""
        return seconds_until(self._next_due_at, longest)

    def _wake(self, *, changed: bool) -> None:
        """Wake workers for rows that foreign SQL wrote and for jobs whose time has come."""
        due_in = self._due_in if changed else []
        now = clock.utc_now()
        if self._due_at is not None and self._due_at <= now:
            due_in = [*due_in, *claims.queues_with_delayed_jobs(self._database, now)]
            # Of those due already a worker may be far: sleep until the next one all the same.
            self._next_due_at = claims.next_due_at(self._database, after=now)
        elif changed:
            self._next_due_at = self._due_at
        if due_in:
            self._renew_pipes()
            # One of each group: a worker that finds more wakes the next one.
            wakeup.notify(self._path, dict.fromkeys(due_in, 1), most=1)

    def _renew_pipes(self) -> None:
        """Wake the workers whose pipe was deleted, so that they wait on another."""
        for pipe in self._pipes:
            pipe.renew()
        self._other_pipes.renew()

    def _relay_cancels(self) -> None:
        """Tell which running jobs of this daemon are to be cancelled, whenever that changes."""
        requests = claims.cancel_requests(self._database)
        cancels = sorted(row["execution_id"] for row in requests if row["run"] == self._run)
        if cancels != self._cancels:
            self._cancels = cancels
            self._tell({"cancel": cancels})
