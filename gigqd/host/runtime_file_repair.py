"""Repair of a live daemon's locks and runtime files after they were deleted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gigq.store.sqlite.processes import run_locks
from gigqd import exit_codes, logs
from gigqd.errors import GigqdError
from gigqd.host import database_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigqd.host.runtime_files import RuntimeFiles
    from gigqd.supervisor.daemon_status import DaemonStatus
    from gigqd.supervisor.shutdown import Stop

log = logs.get_logger(__name__)

_EVERY = 5.0


class FileRepair:
    """A check every 5 s that restores deleted files and logs it.

    Args:
        status: the daemon's own state; its database and name never change.
        runtime_files: the runtime files.
        repair_socket: restores the control socket, and returns the names of restored files.
        begin_stop: begins the regular stop of the daemon.

    Attributes:
        at: the time of the next check, in seconds of the monotonic clock.
    """

    def __init__(
        self,
        status: DaemonStatus,
        runtime_files: RuntimeFiles,
        repair_socket: Callable[[], Iterable[str]],
        begin_stop: Callable[[], Stop],
    ) -> None:
        self._database = status.config.place
        self._name = status.config.daemon.name
        self._runtime_files = runtime_files
        self._repair_socket = repair_socket
        self._begin_stop = begin_stop
        self.at = 0.0

    def step(self, now: float) -> None:
        """Check and repair, when it is due.

        Another daemon of this name may have taken the database lock while its file was deleted:
        then this one stops, and no longer touches the runtime files.
        """
        if now < self.at:
            return
        self.at = now + _EVERY
        repaired = self._restore(_renew_locks)
        if (other := self._taken_over()) is not None:
            log.error("place_taken", error=str(other))
            self.at = math.inf
            self._begin_stop().code = exit_codes.ALREADY_RUNNING
            return
        repaired += self._restore(self._runtime_files.repair)
        # Not in place: another start holds the lock file, and the database lock refuses it.
        if self._runtime_files.is_in_place():
            repaired += self._restore(self._repair_socket)
        if repaired:
            log.warning("files_repaired", files=repaired)

    def _taken_over(self) -> GigqdError | None:
        try:
            database_lock.refuse_taken(self._database, self._name)
        except database_lock.DatabaseLocked as error:
            return error
        return None

    def _restore(self, repair: Callable[[], Iterable[str]]) -> list[str]:
        try:
            return [*repair()]
        except (GigqdError, OSError) as error:
            log.error("repair_failed", error=str(error))
            return []


def _renew_locks() -> list[str]:
    return ["locks"] if run_locks.renew() else []
