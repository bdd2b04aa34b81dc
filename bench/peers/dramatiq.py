"""dramatiq on Redis."""

from __future__ import annotations

from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="dramatiq",
    title="dramatiq (Redis)",
    requires=("dramatiq[redis]==2.2.1", "redis==8.1.0"),
    durable="no: Redis syncs once a second (appendfsync everysec)",
    settings="a process with one thread for each worker (`-p 2 -t 1`)",
    server="redis",
    pace=600,
    bulk=3_000,
)


def adapter(place: Place) -> Dramatiq:
    """The adapter of a server."""
    return Dramatiq(place)


class Dramatiq(Pool):
    """A broker and worker processes."""

    def prepare(self) -> None:
        """Connect."""
        from bench.apps.dramatiq_app import ACTORS

        self.actors: dict[str, Any] = ACTORS

    def start(self, workers: int) -> list[int]:
        """Processes of one thread."""
        processes = ("-p", str(workers), "-t", "1")
        return [self.run("-m", "dramatiq", "bench.apps.dramatiq_app", *processes)]

    def submit(self, kind: str) -> None:
        """One message."""
        self.actors[kind].send()

    def submit_many(self, kind: str, count: int) -> None:
        """It has nothing for many."""
        for _ in range(count):
            self.actors[kind].send()
