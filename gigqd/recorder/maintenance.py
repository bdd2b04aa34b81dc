"""Maintenance by the recorder, in every turn of its loop while the database works."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from gigq.execution import job_events
from gigq.model import clock
from gigq.store import migrate
from gigq.store.sqlite import checkpoint, probe
from gigq.store.sqlite.file import identity
from gigq.store.sqlite.processes import wakeup
from gigq.store.verbs import expiry, rows_of_other_programs, settle_and_claim
from gigqd.ipc.scoreboard import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigq.store.database import Database
    from gigq.store.sqlite.connections import StoreConnection
    from gigqd.ipc.scoreboard import Report

_TIDY_AFTER = 5.0
_CHECK_INTERVAL = 1.0
_SLOW = 1.0


class Maintenance:
    """Maintenance of the file, wakeups for jobs that came due, expiry, and cancel requests.

    A connection may serve reads from its cache for long. To find errors early, the recorder reads
    the file through a new connection when its size or time has changed, tries the write lock every
    second, and commits a page when jobs are due, when recording an outcome takes more than 1 s, and
    after every error.

    Args:
        database: the database.
        path: its file.
        run: the daemon's run.
        served: the queues of each pool, as patterns.
        board: returns the last report of every worker.
        heartbeat: called every few milliseconds while the whole file is read.
        report: sends a message to the supervisor.
    """

    def __init__(
        self,
        database: Database,
        path: str,
        run: str,
        served: Iterable[tuple[str, ...]],
        board: Callable[[], list[Report]],
        heartbeat: Callable[[], None],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._database = database
        self._path = path
        self._run = run
        self._patience = database.lock_timeout
        self._board = board
        self._heartbeat = heartbeat
        self._report = report
        # The pools' pipes from the start: the deletion of an unknown pipe would not be noticed.
        self._pipes = [*(wakeup.Listener(path, each) for each in set(served))]
        self._other_pipes = wakeup.OpenPipes(path)
        self._cancels: list[str] | None = None
        self.begin()

    def begin(self, *, damaged: bool = False) -> None:
        """Start anew: the file may be another one, or an error is just over.

        Args:
            damaged: True after an error of the file itself, so that all of it is read.
        """
        self._in_doubt = True
        self._damaged = damaged
        self._stamp: tuple[int, int] = (0, 0)
        self._expected = float("inf")
        self._version = (0, 0)
        self._due_at: str | None = None
        self._next_due_at: str | None = None
        self._expires_at: str | None = None
        self._due_in: list[str] = []
        self._check_at = 0.0
        self._tidy_at = 0.0

    def run_due(self, connection: StoreConnection) -> bool:
        """Do the maintenance that is due.

        Returns:
            True when a process has committed since the last call.

        Raises:
            StoreError: the database cannot be used.
        """
        now = time.monotonic()
        changed = self._has_changed(connection)
        if changed:
            migrate.refuse_newer(self._database)
            self._relay_cancels()
            rows_of_other_programs.follow(self._database)
            self._due_at = settle_and_claim.next_due_at(self._database)
            self._due_in = settle_and_claim.queues_with_due_jobs(self._database)
            self._expires_at = expiry.next_expiry_at(self._database)
        self._expire()
        self._wake(changed=changed)
        if now >= self._check_at:
            self._check_at = now + _CHECK_INTERVAL
            self._renew_pipes()
            identity.require_access(self._path)
            self._try_to_write(connection, now)
        self._tidy(connection, now, changed=changed)
        return changed

    def close(self) -> None:
        """Close the pipes and remove those on which no worker waits."""
        for pipe in self._pipes:
            pipe.close()
        self._other_pipes.close()

    # --- the file ----------------------------------------------------------------------------

    def check_file(self) -> None:
        """Read the file through a new connection if it has changed; all of it if it was cut.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        stamp = identity.stamp(self._path)
        if stamp == self._stamp:
            return
        has_shrunk = stamp[0] < self._stamp[0]
        if self._damaged or (has_shrunk and stamp[0] < self._expected):
            probe.require_whole(self._path, self._patience, self._heartbeat)
        else:
            probe.require_readable(self._path, self._patience)
        if has_shrunk:
            self._expected = float("inf")
        self._stamp, self._damaged = stamp, False

    def expect_size(self, size: int) -> None:
        """Expect that the vacuum shortens the file to this size in bytes, once."""
        self._expected = size

    def _try_to_write(self, connection: StoreConnection, now: float) -> None:
        if self._in_doubt or self._is_wanted(now):
            probe.require_writable(connection, self._patience)
            self._in_doubt = False
        else:
            probe.require_lock(connection, self._patience)

    def _is_wanted(self, now: float) -> bool:
        """Return True when a worker needs to write: jobs are due, or an outcome is not recorded."""
        return bool(self._due_in) or any(
            report.activity is Activity.SETTLING and now - report.since > _SLOW
            for report in self._board()
        )

    def _tidy(self, connection: StoreConnection, now: float, *, changed: bool) -> None:
        """Keep the log short; empty its file after 5 s without a write."""
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
        """Return True when a process has committed since the last call."""
        before = self._version
        version = probe.version_of(connection, self._patience)
        self._version = (version, connection.total_changes)
        return self._version != before

    def until_due(self, longest: float) -> float:
        """Return the seconds until the next job is due or expires, `longest` at most."""
        return clock.seconds_until(
            self._expires_at, clock.seconds_until(self._next_due_at, longest)
        )

    def _expire(self) -> None:
        """End the pending jobs whose time is over; many of them in several turns."""
        if self._expires_at is None or self._expires_at > clock.utc_now():
            return
        expired = expiry.expire_some(self._database)
        job_events.expired(expired)
        wakeup.notify(self._path, Counter(queue for one in expired for queue in one.due_in))
        self._expires_at = expiry.next_expiry_at(self._database)

    def _wake(self, *, changed: bool) -> None:
        """Wake workers for rows that foreign SQL wrote and for jobs whose time has come."""
        due_in = self._due_in if changed else []
        now = clock.utc_now()
        if self._due_at is not None and self._due_at <= now:
            due_in = [*due_in, *settle_and_claim.queues_with_delayed_jobs(self._database, now)]
            # Workers take the jobs that are due already, so wait for the next time.
            self._next_due_at = settle_and_claim.next_due_at(self._database, after=now)
        elif changed:
            self._next_due_at = self._due_at
        if due_in:
            self._renew_pipes()
            # One of each group: a worker that finds more wakes the next one.
            wakeup.notify(self._path, dict.fromkeys(due_in, 1), most=1)

    def _renew_pipes(self) -> None:
        """Wake the workers whose pipe was deleted, so that they make another."""
        for pipe in self._pipes:
            pipe.renew()
        self._other_pipes.renew()

    def _relay_cancels(self) -> None:
        """Report the cancel requests for running jobs of this daemon, when they change."""
        requests = settle_and_claim.cancel_requests(self._database)
        cancels = sorted(row["execution_id"] for row in requests if row["run"] == self._run)
        if cancels != self._cancels:
            self._cancels = cancels
            self._report({"cancel": cancels})
