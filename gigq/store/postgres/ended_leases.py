"""The end of the leases of other processes, as this process sees them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from gigq.model import clock
from gigq.model.lease import boot_time
from gigq.store.postgres.address import DEFAULT_LEASE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeGuard

    from gigq.store.database import Database
    from gigq.store.session import Row


_LONG_AGO, _NEVER = "", "~"  # before and after every time


class _Seen(NamedTuple):
    """The end of a lease and its length, and since when this process has seen it.

    The time is one of the boot clock.
    """

    ends_at: str
    length: float
    since: float


class EndedLeases:
    """The leases of other processes that have ended.

    A lease has ended when the server's clock says so, and when it has also not changed here for its
    whole length. So it ends no earlier when the server's clock is set forward, and no later when
    that clock was set back after the last renewal. The length counts anew when the server has
    started again or another one has taken over: its clock may differ, and it may lack renewals that
    this process has not seen. A process without a row is treated as if it had a lease that is not
    renewed: of its last length, or of the usual one where this process has seen no row. One that
    can renew none counts as alive.

    Args:
        usual: the length of this process's own lease.
    """

    def __init__(self, usual: float = DEFAULT_LEASE) -> None:
        self._usual = max(usual, DEFAULT_LEASE)
        self._seen: dict[str, _Seen] = {}
        self._server: object = None

    def of(self, db: Database, runs: Iterable[str]) -> frozenset[str]:
        """Return those of these runs whose lease has ended.

        Raises:
            StoreError: the database cannot be used.
        """
        wanted = frozenset(runs)
        if not wanted:
            self._seen.clear()
            return wanted
        with db.read() as session:
            rows = {row["run"]: row for row in session.all("processes")}
            server, now = session.one("server_identity"), session.now
        if server != self._server:
            self._seen, self._server = {}, server
        looked_at = boot_time()
        self._seen = {run: self._noted(run, rows.get(run), looked_at) for run in wanted}
        return frozenset(
            run
            for run, seen in self._seen.items()
            if looked_at - seen.since >= seen.length and _is_over(seen, rows.get(run), now)
        )

    def _noted(self, run: str, row: Row | None, now: float) -> _Seen:
        ends_at = str(row["lease_ends_at"] or _NEVER) if row else _LONG_AGO
        known = self._seen.get(run)
        if known is not None and known.ends_at == ends_at:
            return known
        length = row["lease"] if row else known and known.length
        return _Seen(ends_at, length if _is_length(length) else self._usual, now)


def _is_length(lease: object) -> TypeGuard[float]:
    """Return whether a lease may have this length, in seconds; other programs can write any."""
    return isinstance(lease, float) and 0 < lease < math.inf


def _is_over(seen: _Seen, row: Row | None, now: str) -> bool:
    if seen.ends_at <= now:
        return True
    if row is None or row["lease"] is None:
        return False
    return clock.was_set_back(row["seen_at"], now, row["lease"])
