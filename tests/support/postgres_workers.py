"""Workers in threads on a database that is in trouble."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.waiting import wait_until

from gigq import Job, JobQueue, Worker, events
from gigq.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_runs: Counter[str] = Counter()
_lock = threading.Lock()


def count(name: str) -> int:
    """A job that counts how many times it has run in this process."""
    with _lock:
        _runs[name] += 1
        return _runs[name]


def runs(names: list[str]) -> Counter[str]:
    """How many times each of these jobs has run."""
    with _lock:
        return Counter({name: _runs[name] for name in names})


@contextmanager
def working(address: str, number: int = 2) -> Iterator[list[Worker]]:
    """Run workers in threads; none of them may end before the block does."""
    workers = [Worker(address, f"worker-{one}", polling_interval=0.2) for one in range(number)]
    threads = [threading.Thread(target=worker.start) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield workers
        assert all(thread.is_alive() for thread in threads), "a worker has ended"
    finally:
        for worker in workers:
            worker.running = False
            worker.stop()
        for thread in threads:
            thread.join()


@contextmanager
def troubles() -> Iterator[list[str]]:
    """The errors that workers wait out in the block."""
    found: list[str] = []

    def note(event: str, fields: dict[str, str]) -> None:
        if event == events.STORE_UNAVAILABLE:
            found.append(fields["error"])

    end = events.subscribe(note)
    try:
        yield found
    finally:
        end()


def repeatedly(call: Callable[[], object]) -> None:
    """Repeat a call until the store is available."""

    def succeeds() -> bool:
        try:
            call()
        except StoreUnavailable:
            return False
        return True

    wait_until(succeeds, 60)


def all_completed(queue: JobQueue, number: int) -> None:
    """Wait until so many jobs are completed and none is left."""

    def counts() -> dict[str, int]:
        found: list[dict[str, int]] = []
        repeatedly(lambda: found.append(queue.stats()))
        return found[-1]

    wait_until(lambda: counts()["completed"] == number, 60, why=str(counts()))
    assert counts()["total"] == number


def jobs_named(prefix: str, number: int) -> list[Job]:
    """Jobs that count their runs."""
    names = [f"{prefix}-{one}" for one in range(number)]
    return [Job(name, count, {"name": name}) for name in names]
