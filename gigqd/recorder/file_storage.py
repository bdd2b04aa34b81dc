"""Upkeep of a database file: its intactness, its log, and its space."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.model import clock
from gigq.store import initialization
from gigq.store.backend import FileBackend
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.sqlite import checkpoint, connections, probe
from gigq.store.sqlite.file import identity
from gigq.store.sqlite.vacuum import Vacuum
from gigqd.process.process_tag import home_of
from gigqd.recorder.polling import Polling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigq.store.sqlite.connections import StoreConnection
    from gigq.store.sqlite.file.identity import FileId
    from gigqd.ipc.json_socket import JsonSocket

PATIENCE = 1.0
_TIDY_AFTER = 5.0
_CHECK_INTERVAL = 1.0


class FileStorage:
    """A database file. See `Storage`.

    A connection may serve reads from its cache for long. To find errors early, the recorder reads
    the file through a new connection when its size or time has changed, tries the write lock every
    second, and commits a page when jobs are due, when recording an outcome takes more than 1 s, and
    after every error.

    Args:
        path: the file.
        durable: True when every commit must survive a power cut.
        is_there: True when an earlier recorder of this daemon has opened it. Only the first one
            may create it, and only before the daemon is up.
        json_socket: the socket to the supervisor.
        heartbeat: called every few milliseconds while the whole file is read.
    """

    def __init__(
        self,
        path: str,
        json_socket: JsonSocket,
        heartbeat: Callable[[], None],
        *,
        durable: bool,
        is_there: bool,
    ) -> None:
        self.backend = FileBackend(path)
        self.database = Database(self._connection, PATIENCE, durable=durable)
        self._path = path
        self._heartbeat = heartbeat
        self._polling = Polling(json_socket)
        self._kept_connection: StoreConnection | None = None
        self._file: FileId | None = None
        self._was_prepared = is_there
        self._begin = Begin.NEVER
        self.begin()
        if is_there:
            connections.require(path)

    def begin(self, *, damaged: bool = False) -> None:
        """Start the upkeep anew: the file may be another one, or an error is just over."""
        self._in_doubt = True
        self._damaged = damaged
        self._stamp: tuple[int, int] = (0, 0)
        self._expected = float("inf")
        self._version = (0, 0)
        self._check_at = self._tidy_at = 0.0

    def home_of_run(self, run: str) -> str:  # noqa: ARG002 - the same for all runs on a file
        """Return the id of the file in the tags of processes."""
        return home_of(self._path)

    # --- connection --------------------------------------------------------------------------

    def connect(self) -> bool:
        """Connect; return True when the file is the prepared one, with its log."""
        connection = self._connection()
        if connection.file_id != self._file:
            return False
        identity.require_log(connection.path, connection.log)
        return True

    def prepare(self, *, again: bool) -> None:
        """Prepare the file: at the start, after errors, and after it was replaced."""
        if again:
            # A new connection has no cached pages of a file that was overwritten.
            connections.close_connection(self._path)
        connection = self._connection()
        probe.call_during_statements(connection, self._heartbeat)
        self._polling.follow(connection.path)
        self.begin(damaged=again)
        self.check()
        initialization.open_queue(self.database, self._path, self._begin)
        self._file, self._was_prepared, self._begin = connection.file_id, True, Begin.NEVER
        connections.require(self._path)

    def look(self) -> None:
        """Do nothing: `prepare` has read the file."""

    def _connection(self) -> StoreConnection:
        if self._kept_connection is None or not self._kept_connection.is_usable():
            if not self._was_prepared:
                self._begin = initialization.prepare_file(self._path, self._heartbeat)
            self._kept_connection = connections.open_connection(self._path, PATIENCE)
        return self._kept_connection

    # --- upkeep ------------------------------------------------------------------------------

    def check(self) -> None:
        """Read the file through a new connection if it has changed; all of it if it was cut."""
        stamp = identity.stamp(self._path)
        if stamp == self._stamp:
            return
        has_shrunk = stamp[0] < self._stamp[0]
        if self._damaged or (has_shrunk and stamp[0] < self._expected):
            probe.require_whole(self._path, PATIENCE, self._heartbeat)
        else:
            probe.require_readable(self._path, PATIENCE)
        if has_shrunk:
            self._expected = float("inf")
        self._stamp, self._damaged = stamp, False

    def has_changed(self) -> bool:
        """Return True when a process has committed since the last call."""
        before, connection = self._version, self._connection()
        version = probe.version_of(connection, PATIENCE)
        self._version = (version, connection.total_changes)
        return self._version != before

    def is_look_due(self) -> bool:
        """Return False: every commit is seen."""
        return False

    def may_have_open_executions(self) -> bool:
        """Return True: a look at a file costs little."""
        return True

    def now(self) -> str:
        """Return the time of this host."""
        return clock.utc_now()

    def maintain(self, *, wanted: bool, changed: bool) -> None:
        """Try to write every second, and keep the log short."""
        now, connection = time.monotonic(), self._connection()
        if now >= self._check_at:
            self._check_at = now + _CHECK_INTERVAL
            identity.require_access(self._path)
            self._try_to_write(connection, wanted=wanted)
        self._tidy(connection, now, changed=changed)

    def _try_to_write(self, connection: StoreConnection, *, wanted: bool) -> None:
        if self._in_doubt or wanted:
            probe.require_writable(connection, PATIENCE)
            self._in_doubt = False
        else:
            probe.require_lock(connection, PATIENCE)

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

    def give_back_space(self) -> Iterator[None]:
        """Vacuum the file, batch by batch; the vacuum shortens it once."""
        vacuum = Vacuum(self.database)
        while vacuum.batch():
            self._expected = vacuum.size
            yield

    # --- waiting and the end -----------------------------------------------------------------

    def sleep(self, longest: float) -> bool:
        """Sleep until there is a message, or the next look at the file is due."""
        return self._polling.sleep(longest)

    def wait(self, seconds: float) -> bool:
        """Wait for a message, `seconds` at most; return True when there is one."""
        return self._polling.wait(seconds)

    def close(self, *, works: bool) -> None:
        """Leave one complete file, as the last process that used it."""
        if works and self._kept_connection is not None:
            with suppress(StoreError, OSError):
                checkpoint.shorten(self._kept_connection, truncate=True)
        connections.close_connections()
