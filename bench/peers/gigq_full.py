"""gigq under gigqd, with every outcome on disk before the next."""

from __future__ import annotations

from bench.peers.gigq import Gigq
from bench.protocol import Peer, Place

PEER = Peer(
    name="gigq_full",
    title='gigq, durability="full"',
    requires=(),
    durable="yes, fsync for each accepted job and for every outcome",
    settings='durability = "full"',
    pace=10_000,
    bulk=50_000,
)


def adapter(place: Place) -> Gigq:
    """The adapter, in a folder."""
    return Gigq(place, "full")
