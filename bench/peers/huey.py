"""huey on SQLite, with worker processes."""

from __future__ import annotations

from typing import Any

from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="huey",
    title="huey (SQLite)",
    requires=("huey==3.5.4",),
    durable="yes, fsync for each accepted job; it is deleted before it runs",
    settings="fsync=True, `-k process`, otherwise defaults",
    pace=2_000,
    bulk=3_000,
)


def adapter(place: Place) -> Huey:
    """The adapter, in a folder."""
    return Huey(place)


class Huey(Pool):
    """A file and a consumer."""

    def prepare(self) -> None:
        """Make the file."""
        from bench.apps.huey_app import TASKS

        self.tasks: dict[str, Any] = TASKS

    def start(self, workers: int) -> list[int]:
        """A consumer with worker processes."""
        consumer = ("-m", "huey.bin.huey_consumer", "bench.apps.huey_app.huey")
        return [self.run(*consumer, "-k", "process", "-w", str(workers), "-q")]

    def submit(self, kind: str) -> None:
        """One job."""
        self.tasks[kind]()

    def submit_later(self, kind: str, seconds: float) -> None:
        """One job for later."""
        self.tasks[kind].schedule(delay=seconds)

    def submit_many(self, kind: str, count: int) -> None:
        """It has nothing for many."""
        for _ in range(count):
            self.tasks[kind]()
