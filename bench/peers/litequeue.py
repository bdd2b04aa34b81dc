"""litequeue: a queue in SQLite without workers."""

from __future__ import annotations

from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="litequeue",
    title="litequeue (raw queue)",
    requires=("litequeue==0.9",),
    durable="no: synchronous=NORMAL, a power cut may undo the last jobs",
    settings="the benchmark's own processes: pop, run, done; they poll every 5 ms",
    pace=3_000,
    bulk=30_000,
)


def adapter(place: Place) -> Lite:
    """The adapter, in a folder."""
    return Lite(place)


class Lite(Pool):
    """A file and our workers."""

    def prepare(self) -> None:
        """Make the file."""
        from litequeue import LiteQueue

        self.queue: Any = LiteQueue(str(self.folder / "lite.db"))

    def start(self, workers: int) -> list[int]:
        """One process each."""
        return [self.run("-m", "bench.apps.litequeue_worker") for _ in range(workers)]

    def submit(self, kind: str) -> None:
        """One message."""
        self.queue.put(kind)

    def submit_many(self, kind: str, count: int) -> None:
        """In one transaction."""
        with self.queue.transaction():
            for _ in range(count):
                self.queue.put(kind)
