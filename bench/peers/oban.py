"""Oban for Python, the open part, on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="oban",
    title="oban",
    requires=("oban==0.7.0",),
    durable="yes, synchronous_commit=on",
    settings="a process for each worker, a queue with a limit of 10; bulk in batches of 1,000",
    server="postgres",
    python=(3, 12),
    pace=500,
    bulk=10_000,
)


def adapter(place: Place) -> OnOban:
    """The adapter of a server."""
    return OnOban(place)


class OnOban(Pool):
    """A database and worker processes."""

    def prepare(self) -> None:
        """Make the tables, and a client without queues."""
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._prepare())

    async def _prepare(self) -> None:
        from oban import Oban
        from oban.schema import install

        from bench.apps.oban_app import WORKERS

        self.workers: dict[str, Any] = WORKERS
        pool = await Oban.create_pool(self.place.url)
        await install(pool)
        self.client = Oban(pool=pool)
        await self.client.start()

    def start(self, workers: int) -> list[int]:
        """One process each."""
        command = ("-m", "bench.apps.oban_app")
        return [self.run(*command, BENCH_URL=self.place.url) for _ in range(workers)]

    def submit(self, kind: str) -> None:
        """One job."""
        self.loop.run_until_complete(self.client.enqueue(self.workers[kind].new()))

    def submit_many(self, kind: str, count: int) -> None:
        """In batches."""
        new = self.workers[kind].new
        for first in range(0, count, 1000):
            batch = [new() for _ in range(min(1000, count - first))]
            self.loop.run_until_complete(self.client.enqueue_many(batch))
