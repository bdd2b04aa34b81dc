"""rq with its worker pool, on Redis."""

from __future__ import annotations

from typing import Any

from bench import work
from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="rq",
    title="rq (worker-pool, Redis)",
    requires=("rq==2.12.0", "redis==8.1.0"),
    durable="no: Redis syncs once a second (appendfsync everysec)",
    settings="`rq worker-pool`, which forks for each job",
    server="redis",
    pace=150,
    bulk=3_000,
)


def adapter(place: Place) -> Rq:
    """The adapter of a server."""
    return Rq(place)


class Rq(Pool):
    """A queue in Redis and a pool."""

    def prepare(self) -> None:
        """Connect."""
        from redis import Redis
        from rq import Queue

        self.queue: Any = Queue("bench", connection=Redis.from_url(self.address))

    def start(self, workers: int) -> list[int]:
        """A pool."""
        url = ("-u", self.address, "-q", "-n", str(workers))
        return [self.run("-m", "rq.cli", "worker-pool", *url, "bench")]

    def submit(self, kind: str) -> None:
        """One job."""
        self.queue.enqueue(work.FUNCTIONS[kind])

    def submit_many(self, kind: str, count: int) -> None:
        """In one pipeline."""
        function = work.FUNCTIONS[kind]
        self.queue.enqueue_many([self.queue.prepare_data(function) for _ in range(count)])
