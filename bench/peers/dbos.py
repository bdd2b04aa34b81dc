"""DBOS Transact on PostgreSQL."""

from __future__ import annotations

from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="dbos",
    title="DBOS",
    requires=("dbos==3.4.0",),
    durable="yes, synchronous_commit=on",
    settings="a process for each worker, a queue without limits that is polled once a second",
    server="postgres",
    pace=500,
    bulk=400,
)


def adapter(place: Place) -> OnDbos:
    """The adapter of a server."""
    return OnDbos(place)


class OnDbos(Pool):
    """A database and worker processes."""

    def prepare(self) -> None:
        """Make the tables, and a client."""
        from dbos import DBOS, DBOSClient

        from bench.apps import dbos_app

        dbos_app.launch(self.place.url)
        DBOS.destroy()
        self.client: Any = DBOSClient(system_database_url=self.place.url)

    def start(self, workers: int) -> list[int]:
        """One process each."""
        command = ("-m", "bench.apps.dbos_app")
        return [
            self.run(*command, BENCH_URL=self.place.url, DBOS__VMID=f"worker{number}")
            for number in range(workers)
        ]

    def submit(self, kind: str) -> None:
        """One workflow."""
        from bench.apps.dbos_app import QUEUE

        self.client.enqueue({"queue_name": QUEUE, "workflow_name": kind})

    def submit_many(self, kind: str, count: int) -> None:
        """One by one: there is no call for many."""
        for _ in range(count):
            self.submit(kind)
