"""The daemon's row among the processes of a server, and its lease."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from gigq import __version__

if TYPE_CHECKING:
    from gigq.store.database import Database
    from gigq.store.lease_renewal import LeaseRenewal
    from gigqd.config import Config
    from gigqd.ipc.scoreboard import Cell

_FORGET_EVERY = 600.0
_FORGET_AFTER = 3600.0


class OwnProcess:
    """The daemon's lease in the database and on the scoreboard; nothing of both with a file.

    Args:
        database: the database.
        config: the configuration.
        run: the daemon's run.
        cell: the recorder's cell of the scoreboard.
    """

    def __init__(self, database: Database, config: Config, run: str, cell: Cell) -> None:
        self._cell = cell
        self._forget_ended_at = 0.0
        self._renewal: LeaseRenewal | None = None
        if config.database_file is None:
            from gigq.model.lease import Lease
            from gigq.store.lease_renewal import LeaseRenewal
            from gigq.store.postgres.address import parse
            from gigq.store.verbs.processes import Process

            length = parse(config.queue.database).lease
            host, pid = socket.gethostname(), os.getppid()
            process = Process(run, "gigqd", host, pid, __version__, length)
            self._renewal = LeaseRenewal(database, process, Lease(*cell.lease))

    def renew_if_due(self) -> None:
        """Renew the lease once a third of it is over.

        Raises:
            StoreError: the lease is as it was.
        """
        if self._renewal is None or not self._renewal.renew_if_due():
            return
        self._cell.write_lease(*self._renewal.lease)
        if time.monotonic() >= self._forget_ended_at:
            self._forget_ended_at = time.monotonic() + _FORGET_EVERY
            self._renewal.forget_ended(_FORGET_AFTER)

    def forget(self) -> None:
        """Delete the row, at the end of the daemon.

        Raises:
            StoreError: the row is left.
        """
        if self._renewal is not None:
            self._renewal.forget()
