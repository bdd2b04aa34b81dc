"""gigq under gigqd, on PostgreSQL."""

from __future__ import annotations

from bench.peers.gigq import Gigq
from bench.protocol import Peer, Place

PEER = Peer(
    name="gigq_postgres",
    title="gigq",
    requires=(),
    durable="yes, synchronous_commit=on",
    settings="one gigqd with a process for each worker, defaults",
    server="postgres",
    pace=12_000,
    bulk=15_000,
)


def adapter(place: Place) -> GigqOnPostgres:
    """The adapter of a server."""
    return GigqOnPostgres(place)


class GigqOnPostgres(Gigq):
    """A queue and a daemon."""

    def __init__(self, place: Place) -> None:
        """Live in a folder, with a database on a server."""
        super().__init__(place, "normal")
        self.database = place.url
