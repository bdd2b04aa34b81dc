"""Maintenance by the recorder, in every turn of its loop while the database works."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from gigq import __version__
from gigq.execution import job_events
from gigq.model import clock
from gigq.store import migrate
from gigq.store.sqlite.processes import wakeup
from gigq.store.verbs import expiry, rows_of_other_programs, settle_and_claim
from gigqd import logs
from gigqd.ipc.scoreboard import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigq.store.schema_versions import Newer
    from gigqd.ipc.scoreboard import Report
    from gigqd.recorder.storage import Storage

log = logs.get_logger(__name__)

_CHECK_INTERVAL = 1.0
_SLOW = 1.0


class Maintenance:
    """Wakeups for jobs that came due, expiry, cancel requests, and the upkeep of the database.

    Args:
        storage: the database.
        place: the path beside which the daemon keeps its pipes.
        run: the daemon's run.
        served: the queues of each pool, as patterns.
        board: returns the last report of every worker.
        report: sends a message to the supervisor.
    """

    def __init__(
        self,
        storage: Storage,
        place: str,
        run: str,
        served: Iterable[tuple[str, ...]],
        board: Callable[[], list[Report]],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._storage = storage
        self._database = storage.database
        self._place = place
        self._run = run
        self._board = board
        self._report = report
        # The pools' pipes from the start: the deletion of an unknown pipe would not be noticed.
        self._pipes = [*(wakeup.Listener(place, each) for each in set(served))]
        self._other_pipes = wakeup.OpenPipes(place)
        self._cancels: list[str] | None = None
        self._newer_schema: Newer | None = None
        self.begin()

    def begin(self) -> None:
        """Start anew: the database may be another one, or an error is just over."""
        self._due_at: str | None = None
        self._next_due_at: str | None = None
        self._expires_at: str | None = None
        self._due_in: list[str] = []
        self._check_at = 0.0

    def run_due(self) -> bool:
        """Do the maintenance that is due.

        Returns:
            True when a process has committed since the last call.

        Raises:
            StoreError: the database cannot be used.
        """
        changed = self._storage.has_changed()
        if changed or self._storage.is_look_due():
            self._note_newer_schema()
            self._relay_cancels()
            rows_of_other_programs.follow(self._database)
            self._due_at = settle_and_claim.next_due_at(self._database)
            self._due_in = settle_and_claim.queues_with_due_jobs(self._database)
            self._expires_at = expiry.next_expiry_at(self._database)
        self._expire()
        self._wake(changed=changed)
        now = time.monotonic()
        if now >= self._check_at:
            self._check_at = now + _CHECK_INTERVAL
            self._renew_pipes()
        self._storage.maintain(wanted=self._is_wanted(now), changed=changed)
        return changed

    def close(self) -> None:
        """Close the pipes and remove those on which no worker waits."""
        for pipe in self._pipes:
            pipe.close()
        self._other_pipes.close()

    def until_due(self, longest: float) -> float:
        """Return the seconds until the next job is due or expires, `longest` at most."""
        now = self._storage.now
        soon = clock.seconds_until(self._next_due_at, longest, now)
        return clock.seconds_until(self._expires_at, soon, now)

    def _note_newer_schema(self) -> None:
        """Report once that a newer gigq has migrated the database, which this one may use.

        Raises:
            SchemaTooNew: this one may not use it.
        """
        later = migrate.refuse_newer(self._database)
        if later is not None and later != self._newer_schema:
            log.warning("newer_schema", **later._asdict(), version=__version__)
        self._newer_schema = later

    def _is_wanted(self, now: float) -> bool:
        """Return True when a worker needs to write: jobs are due, or an outcome is not recorded."""
        return bool(self._due_in) or any(
            report.activity is Activity.SETTLING and now - report.since > _SLOW
            for report in self._board()
        )

    def _expire(self) -> None:
        """End the pending jobs whose time is over; many of them in several turns."""
        if self._expires_at is None or self._expires_at > self._storage.now():
            return
        expired = expiry.expire_some(self._database)
        job_events.expired(expired)
        self._storage.backend.notify(Counter(queue for one in expired for queue in one.due_in))
        self._expires_at = expiry.next_expiry_at(self._database)

    def _wake(self, *, changed: bool) -> None:
        """Wake workers for rows that foreign SQL wrote and for jobs whose time has come."""
        due_in = self._due_in if changed else []
        now = self._storage.now()
        if self._due_at is not None and self._due_at <= now:
            due_in = [*due_in, *settle_and_claim.queues_with_delayed_jobs(self._database, now)]
            # Workers take the jobs that are due already, so wait for the next time.
            self._next_due_at = settle_and_claim.next_due_at(self._database, after=now)
        elif changed:
            self._next_due_at = self._due_at
        if due_in:
            self._renew_pipes()
            # One of each group: a worker that finds more wakes the next one.
            wakeup.notify(self._place, dict.fromkeys(due_in, 1), most=1)

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
