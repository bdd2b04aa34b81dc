"""File beside the database with this daemon's pools and state, for `gigq status`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gigq.store.sqlite.processes import announcements
from gigqd import logs

if TYPE_CHECKING:
    from gigqd.supervisor.daemon_status import DaemonStatus

log = logs.get_logger(__name__)


class Announcement:
    """The file of one daemon, which is written after each change.

    Args:
        status: the daemon's own state.
    """

    def __init__(self, status: DaemonStatus) -> None:
        self._status = status
        self._written: tuple[object, ...] = ()

    def step(self) -> None:
        """Write the file if the state has changed; a failure is logged and stops nothing."""
        status = self._status
        state = (status.state, status.database_error, status.generation)
        if state == self._written:
            return
        self._written = state
        try:
            announcements.write(self._database, self._name, self._content())
        except OSError as error:
            log.warning("announcement_failed", error=str(error))

    def withdraw(self) -> None:
        """Remove the file at the end of the daemon."""
        announcements.remove(self._database, self._name, self._status.run)

    def renew(self) -> None:
        """Write the file again in the next turn if it was deleted."""
        if not announcements.is_there(self._database, self._name):
            self._written = ()

    @property
    def _database(self) -> str:
        return str(self._status.config.place)

    @property
    def _name(self) -> str:
        return self._status.config.daemon.name

    def _content(self) -> dict[str, Any]:
        status = self._status
        return {
            "name": self._name,
            "pid": os.getpid(),
            "run": status.run,
            "state": status.state,
            "reason": status.database_error,
            "pools": [
                {"name": pool.name, "size": pool.size, "queues": list(pool.queues)}
                for pool in status.config.pools
            ],
        }
