"""What a queue must be able to do to be measured, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Peer:
    """What is said of a queue before it is measured.

    Attributes:
        name: its short name, that of its module.
        title: its name in the tables.
        requires: what is installed from PyPI, with versions; empty for this project itself.
        durable: whether a job is on disk when `submit` returns, in words for the table.
        settings: how it is configured, in words for the table.
        server: "redis", "postgres" or "".
        python: the oldest version of Python that it needs, if that is newer than this project's.
        pace: about how many jobs a second two workers drain; only the number of jobs to measure
            with follows from it.
        bulk: about how many jobs a second a bulk submission stores, likewise.
    """

    name: str
    title: str
    requires: tuple[str, ...]
    durable: str
    settings: str
    server: str = ""
    python: tuple[int, int] | None = None
    pace: int = 500
    bulk: int = 5000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a queue is to live: a folder of its own, and its server's address."""

    folder: Path
    address: str = ""

    @property
    def url(self) -> str:
        """The address of a PostgreSQL database as a URL."""
        names = dict(part.split("=") for part in self.address.split())
        return f"postgresql://{names['user']}@/{names['dbname']}?host={names['host']}"


class Adapter(Protocol):
    """A queue in the hands of the measurement. It runs in the queue's own environment."""

    def prepare(self) -> None:
        """Make an empty store."""

    def start(self, workers: int) -> list[int]:
        """Start worker processes; the process ids of the roots of their trees."""

    def submit(self, kind: str) -> None:
        """Submit one job of a kind in `bench.work.FUNCTIONS`, the way its users do."""

    def submit_many(self, kind: str, count: int) -> None:
        """Submit so many, in the quickest way that its documentation has."""

    def stop(self) -> None:
        """End the workers."""


@dataclass(slots=True)
class Processes:
    """Processes that an adapter has started."""

    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, log: Path, cwd: Path | None = None, **extra: str) -> int:
        """Start a process in a session of its own; its id."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=os.environ | extra,
                start_new_session=True,
            )
        self.running.append(process)
        return process.pid

    def stop(self, first: signal.Signals = signal.SIGTERM) -> None:
        """Ask them to end, then make them."""
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, first)
        for process in self.running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()


class Pool:
    """What most adapters share: a folder, an address and processes of the same Python."""

    def __init__(self, place: Place) -> None:
        """Live at a place."""
        self.place = place
        self.folder = place.folder
        self.address = place.address
        self.processes = Processes()

    def run(self, *arguments: str, **variables: str) -> int:
        """Start Python with these arguments; its process id."""
        log = self.folder / "log"
        return self.processes.start(
            sys.executable, *arguments, log=log, cwd=self.folder, **variables
        )

    def stop(self) -> None:
        """End the workers."""
        self.processes.stop()
