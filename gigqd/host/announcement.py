"""Says beside the database what this daemon serves and does, for `gigq status`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gigq.store.sqlite.processes import announcements
from gigqd import logs

if TYPE_CHECKING:
    from gigqd.supervisor.status import DaemonStatus

log = logs.get_logger(__name__)


class Announcement:
    """The file of one daemon; it is written when something in it has changed.

    Args:
        facts: the daemon's own state.
    """

    def __init__(self, status: DaemonStatus) -> None:
        self._status = status
        self._written: tuple[object, ...] = ()

    def step(self) -> None:
        """Write what has changed since the last turn. A failure is logged: jobs go on."""
        status = self._status
        state = (status.state, status.database_error, status.generation)
        if state == self._written:
            return
        self._written = state
        try:
            announcements.write(self._database, self._name, self._said())
        except OSError as error:
            log.warning("announcement_failed", error=str(error))

    def withdraw(self) -> None:
        """The daemon ends: remove the file."""
        announcements.remove(self._database, self._name, self._status.run)

    def renew(self) -> None:
        """Have the file written again at the next turn when it was deleted."""
        if not announcements.is_there(self._database, self._name):
            self._written = ()

    @property
    def _database(self) -> str:
        return self._status.config.queue.database

    @property
    def _name(self) -> str:
        return self._status.config.daemon.name

    def _said(self) -> dict[str, Any]:
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
