"""Upkeep of a PostgreSQL database: one look a second, and the notifications of other processes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq.descriptors import wait_readable
from gigq.model import clock
from gigq.model.jitter import random_between
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.postgres import daemons
from gigq.store.postgres.backend import DaemonBackend
from gigq.store.postgres.notifications import DEBOUNCE
from gigq.store.postgres.place import store_of
from gigq.store.session import MissingRight
from gigq.store.sqlite.processes import run_locks, wakeup
from gigq.store.verbs.deadlock import repeated
from gigqd.process.process_tag import home_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.database import Row
    from gigqd.ipc.json_socket import JsonSocket
    from gigqd.recorder.requested_output import RequestedOutput

PATIENCE = 1.0
_LOOK_INTERVAL = 1.0
_SHORTEST_INTERVAL = 0.1
_UNSEEN_AFTER = 60.0


class ServerStorage:
    """A PostgreSQL database. See `Storage`.

    All processes of a daemon wait for its recorder, which looks at the database once a second and
    at once after a notification. So an idle daemon sends one statement a second.

    Args:
        address: the address of the database.
        place: the path beside which the daemon keeps its pipes.
        json_socket: the socket to the supervisor.
        is_there: True when an earlier recorder of this daemon has used it. Only the first one may
            create the tables, and only where there are no others.

    Attributes:
        requested_output: stores the output of running jobs for readers on other hosts.
    """

    def __init__(
        self, address: str, place: str, json_socket: JsonSocket, *, is_there: bool
    ) -> None:
        self.backend = DaemonBackend(address, place)
        self.database = Database(self.backend.connection, PATIENCE)
        self._place = place
        self._json_socket = json_socket
        self._watch = self.backend.queue_watch()
        self._begin = Begin.NEVER if is_there else Begin.EMPTY
        self._prepared: Any = None
        self.requested_output: RequestedOutput | None = None
        self._looked_at = self._look_again_at = self._all_seen_at = 0.0
        self.begin()

    def home_of_run(self, run: str) -> str:
        """Return the id in the tags of the processes of a run, also of another daemon's."""
        return home_with(run_locks.lock_file_of(run))

    def begin(self, *, damaged: bool = False) -> None:  # noqa: ARG002 - as for a file
        """Start anew: the next look finds a change."""
        self._seen: Row = {}
        self._is_notified = True
        self._output_requests: frozenset[str] = frozenset()

    def connect(self) -> bool:
        """Connect; return True when the connection is the one that was prepared."""
        return self.backend.connection() is self._prepared

    def prepare(self, *, again: bool) -> None:  # noqa: ARG002 - as for a file
        """Create or migrate the tables."""
        connection = self.backend.connection()
        migrate.apply(self.database, self._begin)
        with suppress(MissingRight):  # it is only for commands that look for the daemon
            daemons.record(self._place, store_of(connection))
        self._prepared, self._begin = connection, Begin.NEVER
        self._watch.renew()
        self.begin()

    def look(self) -> None:
        """Look at everything once; the next look finds a change all the same."""
        self.has_changed()
        self.begin()

    def check(self) -> None:
        """Do nothing: the server checks its own files."""

    @repeated
    def has_changed(self) -> bool:
        """Look at the database, with one statement.

        Jobs that are due count as a change: a notification about them may have been lost.
        """
        now = time.monotonic()
        with self.database.single_write() as session:
            row = session.one("look_of_daemon") or {}
        self._time, self._looked_at = row.pop("now"), now
        self._output_requests = frozenset((row.pop("output_requests") or "").split())
        changed = row != self._seen or self._is_notified or bool(row["due"])
        self._seen, self._is_notified = row, False
        return changed

    def is_look_due(self) -> bool:
        """Return True once a minute: parents that other programs end with SQL are not seen."""
        now = time.monotonic()
        if now - self._all_seen_at < _UNSEEN_AFTER:
            return False
        self._all_seen_at = now
        return True

    def may_have_open_executions(self) -> bool:
        """Return False when no job was running at the last look."""
        return bool(self._seen.get("open", True))

    def now(self) -> str:
        """Return the server's time: that of the last look, and the time since then."""
        return clock.after(self._time, time.monotonic() - self._looked_at)

    def maintain(self, *, wanted: bool, changed: bool) -> None:  # noqa: ARG002 - as for a file
        """Listen again if the connection for that was lost, and store requested output."""
        self._watch.renew()
        if self.requested_output is not None:
            self.requested_output.follow(self._output_requests)
            self.requested_output.store()

    def give_back_space(self) -> Iterator[None]:
        """Yield nothing: autovacuum returns the space."""
        return iter(())

    def sleep(self, longest: float) -> bool:
        """Sleep until a message, a notification or the time of the next look.

        A notification wakes the daemon's workers before the look, since they wait for it. Others
        may have been left out in the same tenth of a second, so that another look follows.
        """
        interval = random_between(0.9 * _LOOK_INTERVAL, _LOOK_INTERVAL)
        latest = time.monotonic() + min(longest, interval)
        self._pass_on()  # `maintain` takes in what has come, too
        while True:
            left = self._look_at(latest) - time.monotonic()
            ready = self._ready(max(0.0, left))
            if self._json_socket.fileno() in ready:
                return True
            if ready:
                self._pass_on()
            if not ready or left <= 0:
                return False

    def wait(self, seconds: float) -> bool:
        """Wait for a message, `seconds` at most; return True when there is one."""
        return bool(wait_readable([self._json_socket], seconds))

    def close(self, *, works: bool) -> None:  # noqa: ARG002 - as for a file
        """Close the connections."""
        self._watch.close()
        self.backend.close()

    def _look_at(self, latest: float) -> float:
        """Return the time of the next look, which may have come while the last one went on."""
        if self._is_notified:
            return min(latest, self._looked_at + _SHORTEST_INTERVAL)
        if self._look_again_at > self._looked_at:
            return min(latest, self._look_again_at)
        return latest

    def _ready(self, seconds: float) -> list[int]:
        watched = [self._watch] if self._watch.fileno() >= 0 else []
        return wait_readable([self._json_socket, *watched], seconds)

    def _pass_on(self) -> None:
        """Wake one worker of each group that serves a queue of a notification."""
        queues = self._watch.take()
        if queues is not None and not queues:  # only the answer to a check of the connection
            return
        self._is_notified = True
        self._look_again_at = time.monotonic() + DEBOUNCE
        wakeup.notify(self._place, dict.fromkeys(queues or (), 1), most=1)
