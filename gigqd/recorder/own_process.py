"""The daemon's row among the processes of its database, and its lease on a server."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

from gigq import __version__
from gigq.store.verbs import processes
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from gigq.store.lease_renewal import LeaseRenewal
    from gigqd.config import Config
    from gigqd.ipc.scoreboard import Cell
    from gigqd.recorder.storage import Storage


class OwnProcess:
    """The daemon's row, and its lease in the database and on the scoreboard; none with a file.

    Args:
        storage: the database.
        config: the configuration.
        run: the daemon's run.
        cell: the recorder's cell of the scoreboard.
    """

    def __init__(self, storage: Storage, config: Config, run: str, cell: Cell) -> None:
        self._cell = cell
        self._renewal: LeaseRenewal | None = None
        self._storage = storage
        self._is_shown = False
        host, pid = socket.gethostname(), os.getppid()
        self._process = Process(run, "gigqd", host, pid, __version__, None, _info(config))
        if config.database_file is None:
            from gigq.model.lease import Lease
            from gigq.store.lease_renewal import LeaseRenewal
            from gigq.store.postgres.address import parse

            length = parse(config.queue.database).lease
            process = self._process._replace(lease=length)
            self._renewal = LeaseRenewal(storage.database, process, Lease(*cell.lease))

    def begin(self) -> None:
        """Start anew: the database may be another one, or one that takes no writes."""
        self._is_shown = False
        if self._renewal is not None:
            self._renewal.make_due()

    def show(self) -> None:
        """Add the row on a file, once, and delete the rows of processes that have ended.

        Raises:
            StoreError: the row is missing.
        """
        if self._renewal is None and not self._is_shown:
            processes.show(self._storage.database, self._process, self._storage.backend.is_alive)
            self._is_shown = True

    def renew_if_due(self) -> None:
        """Renew the lease once a third of it is over.

        Raises:
            StoreError: the lease is as it was.
        """
        if self._renewal is None or not self._renewal.renew_if_due():
            return
        self._cell.write_lease(*self._renewal.lease)
        self._renewal.forget_ended_if_due()

    def forget(self) -> None:
        """Delete the row, at the end of the daemon.

        Raises:
            StoreError: the row is left.
        """
        if self._renewal is not None or self._is_shown:
            processes.forget(self._storage.database, self._process.run)


def _info(config: Config) -> str:
    """Return what `gigq workers` shows of the daemon."""
    pools = [
        {"name": pool.name, "size": pool.size, "queues": [*pool.queues]} for pool in config.pools
    ]
    return json.dumps({"name": config.daemon.name, "pools": pools})
