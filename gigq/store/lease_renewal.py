"""Renewal of a lease by its holder.

A lease is a time of the server's clock in the row of a process. Its holder renews it, and ends its
jobs before its own clock says that the lease is over. So nothing but the end of the lease says that
a process of another host is dead: not its silence, and not the loss of a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.lease import Lease, boot_time
from gigq.store.verbs import processes

if TYPE_CHECKING:
    from gigq.store.database import Database
    from gigq.store.verbs.processes import Process

_RENEWALS = 3  # in the length of a lease
_FORGET_EVERY = 600.0
_FORGET_AFTER = 3600.0
_NO_LEASE = Lease()


class LeaseRenewal:
    """The row of this process in the database, and the renewal of its lease.

    Args:
        db: the database.
        process: the row; its lease has a length.
        held: the lease that an earlier object of this process has renewed.

    Attributes:
        lease: the lease.
    """

    def __init__(self, db: Database, process: Process, held: Lease = _NO_LEASE) -> None:
        self._db = db
        self._process = process
        self.lease = held
        self._due_at = 0.0
        self._forget_ended_at = 0.0

    def renew_if_due(self) -> bool:
        """Renew the lease once a third of it is over; return True when it was renewed.

        Raises:
            StoreError: the lease is as it was.
        """
        if boot_time() < self._due_at:
            return False
        self.renew()
        return True

    def make_due(self) -> None:
        """Let the next call of `renew_if_due` renew the lease, however long it still lasts."""
        self._due_at = 0.0

    def renew(self) -> None:
        """Renew the lease, which counts from before the renewal was sent.

        Raises:
            StoreError: the lease is as it was.
        """
        length = self._process.lease or 0.0
        sent = boot_time()
        processes.renew(self._db, self._process)
        is_new = self.lease.left <= 0
        self.lease = Lease(self.lease.number + is_new, sent + length)
        self._due_at = sent + length / _RENEWALS

    def forget(self) -> None:
        """Delete the row, at the end of the process.

        Raises:
            StoreError: the row is left.
        """
        processes.forget(self._db, self._process.run)

    def forget_ended_if_due(self) -> None:
        """Delete the rows of processes that ended long ago, now and then.

        Raises:
            StoreError: nothing was deleted.
        """
        if boot_time() >= self._forget_ended_at:
            self._forget_ended_at = boot_time() + _FORGET_EVERY
            processes.forget_ended(self._db, _FORGET_AFTER)
