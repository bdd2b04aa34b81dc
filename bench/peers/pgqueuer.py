"""pgqueuer on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="pgqueuer",
    title="pgqueuer (PostgreSQL)",
    requires=("pgqueuer[asyncpg]==1.6.0", "uvloop==0.23.0"),
    durable="yes, synchronous_commit=on; ends are synced in groups",
    settings="a process for each worker, asyncpg, batches of 10 by default",
    server="postgres",
    pace=8_000,
    bulk=30_000,
)


def adapter(place: Place) -> PgQueuer:
    """The adapter of a server."""
    return PgQueuer(place)


class PgQueuer(Pool):
    """A database and worker processes."""

    def prepare(self) -> None:
        """Make the tables."""
        import asyncpg
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        names = dict(part.split("=") for part in self.address.split())
        self.variables = {
            "PGHOST": names["host"],
            "PGUSER": names["user"],
            "PGDATABASE": names["dbname"],
        }
        self.loop = asyncio.new_event_loop()
        where = {"host": names["host"], "user": names["user"], "database": names["dbname"]}
        connection = self.loop.run_until_complete(asyncpg.connect(**where))
        self.queries: Any = Queries(AsyncpgDriver(connection))
        self.loop.run_until_complete(self.queries.install())

    def start(self, workers: int) -> list[int]:
        """One process each."""
        command = ("-m", "bench.apps.pgqueuer_app")
        return [self.run(*command, **self.variables) for _ in range(workers)]

    def submit(self, kind: str) -> None:
        """One job."""
        self.loop.run_until_complete(self.queries.enqueue(kind, None))

    def submit_many(self, kind: str, count: int) -> None:
        """In one statement."""
        given = ([kind] * count, [None] * count, [0] * count)
        self.loop.run_until_complete(self.queries.enqueue(*given))
