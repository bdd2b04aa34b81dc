"""persist-queue: a queue in SQLite without workers."""

from __future__ import annotations

from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="persistqueue",
    title="persist-queue (raw queue)",
    requires=("persist-queue==1.1.0",),
    durable="yes, fsync for each accepted job (SQLite's default)",
    settings="SQLiteAckQueue; the benchmark's own process with a thread for each worker, because "
    "two processes would take the same item; they poll every 5 ms",
    pace=700,
    bulk=3_000,
)


def adapter(place: Place) -> Persistent:
    """The adapter, in a folder."""
    return Persistent(place)


class Persistent(Pool):
    """A folder and our worker."""

    def prepare(self) -> None:
        """Make the file."""
        import persistqueue

        self.queue: Any = persistqueue.SQLiteAckQueue(
            str(self.folder), auto_resume=False, multithreading=True
        )

    def start(self, workers: int) -> list[int]:
        """One process."""
        return [self.run("-m", "bench.apps.persistqueue_worker", str(workers))]

    def submit(self, kind: str) -> None:
        """One item."""
        self.queue.put(kind)

    def submit_many(self, kind: str, count: int) -> None:
        """It has nothing for many that can be acknowledged."""
        for _ in range(count):
            self.queue.put(kind)
