"""The write lock of a database, held by another thread."""

from __future__ import annotations

import threading

from gigq.store.sqlite.connections import open_connection


class WriteLock:
    """Holds the write lock from a thread, between `take` and `release`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._taken, self._release = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        connection = open_connection(self._path)
        connection.execute("BEGIN IMMEDIATE")
        self._taken.set()
        self._release.wait(60)
        connection.execute("ROLLBACK")

    def take(self) -> None:
        """Take it."""
        self._thread.start()
        assert self._taken.wait(30)

    def release(self) -> None:
        """Free it."""
        self._release.set()
        self._thread.join()
