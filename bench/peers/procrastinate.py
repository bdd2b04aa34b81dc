"""procrastinate on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="procrastinate",
    title="procrastinate (PostgreSQL)",
    requires=("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9"),
    durable="yes, synchronous_commit=on",
    settings="a process for each worker, concurrency 1",
    server="postgres",
    pace=350,
    bulk=10_000,
)


def adapter(place: Place) -> Procrastinate:
    """The adapter of a server."""
    return Procrastinate(place)


class Procrastinate(Pool):
    """A database and worker processes."""

    def prepare(self) -> None:
        """Make the tables."""
        from bench.apps.procrastinate_app import app

        self.app: Any = app
        self.app.open()
        self.app.schema_manager.apply_schema()

    def start(self, workers: int) -> list[int]:
        """One process each."""
        command = ("-m", "procrastinate", "--app", "bench.apps.procrastinate_app.app", "worker")
        return [self.run(*command, "-c", "1") for _ in range(workers)]

    def submit(self, kind: str) -> None:
        """One job."""
        self.app.configure_task(kind).defer()

    def submit_later(self, kind: str, seconds: float) -> None:
        """One job for later."""
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        self.app.configure_task(kind, schedule_at=at).defer()

    def submit_many(self, kind: str, count: int) -> None:
        """In batches."""
        for first in range(0, count, 1000):
            batch: list[dict[str, Any]] = [{} for _ in range(min(1000, count - first))]
            self.app.configure_task(kind).batch_defer(*batch)
