"""GigQ 0.5.1, from which this project grew."""

from __future__ import annotations

from typing import Any

from bench import work
from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="gigq051",
    title="GigQ 0.5.1",
    requires=("gigq==0.5.1",),
    durable="yes, fsync for each accepted job",
    settings="2 x `gigq worker --polling-interval 1`, its minimum",
    pace=600,
    bulk=3_000,
)


def adapter(place: Place) -> GigQ:
    """The adapter, in a folder."""
    return GigQ(place)


class GigQ(Pool):
    """A file and its workers."""

    def prepare(self) -> None:
        """Make the file."""
        import gigq

        self.database = str(self.folder / "queue.db")
        self.job: Any = gigq.Job
        self.queue: Any = gigq.JobQueue(self.database)

    def start(self, workers: int) -> list[int]:
        """One process each."""
        command = ("-m", "gigq.cli", "--db", self.database, "worker", "--polling-interval", "1")
        return [self.run(*command) for _ in range(workers)]

    def submit(self, kind: str) -> None:
        """One job."""
        self.queue.submit(self.job(name=kind, function=work.FUNCTIONS[kind]))

    def submit_many(self, kind: str, count: int) -> None:
        """It has nothing for many."""
        for _ in range(count):
            self.submit(kind)
