"""Celery with its prefork pool, on Redis."""

from __future__ import annotations

from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="celery",
    title="Celery (prefork, Redis)",
    requires=("celery[redis]==5.7.0", "redis==8.1.0"),
    durable="no: Redis syncs once a second (appendfsync everysec)",
    settings="prefork, task_acks_late, results ignored",
    server="redis",
    pace=900,
    bulk=3_000,
)


def adapter(place: Place) -> Celery:
    """The adapter of a server."""
    return Celery(place)


class Celery(Pool):
    """A broker and a worker with its pool."""

    def prepare(self) -> None:
        """Connect."""
        from bench.apps.celery_app import TASKS, app

        self.app: Any = app
        self.tasks: dict[str, Any] = TASKS

    def start(self, workers: int) -> list[int]:
        """A worker, whose pool has so many processes."""
        pool = ("-P", "prefork", "-c", str(workers), "-l", "WARNING")
        return [self.run("-m", "celery", "-A", "bench.apps.celery_app", "worker", *pool)]

    def submit(self, kind: str) -> None:
        """One message."""
        self.tasks[kind].delay()

    def submit_later(self, kind: str, seconds: float) -> None:
        """One job for later."""
        self.tasks[kind].apply_async(countdown=seconds)

    def submit_many(self, kind: str, count: int) -> None:
        """Over one connection."""
        with self.app.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                self.tasks[kind].apply_async(producer=producer)
