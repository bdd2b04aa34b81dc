"""The row of a process with plain workers on a file, which `gigq workers` shows."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from gigq.errors import StoreError
from gigq.store.database import Database
from gigq.store.verbs import processes
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.backend import Backend

_PATIENCE = 1.0


@contextmanager
def shown(backend: Backend) -> Iterator[None]:
    """Show this process among those of a file, until its last worker thread there leaves.

    On a server its lease does so. Jobs do not depend on the row, so an error is ignored.
    """
    if backend.lease is not None or backend.path is None:
        yield
        return
    database, key = Database(backend.connection, _PATIENCE), (os.getpid(), str(backend.path))
    with _lock:
        _threads[key] += 1
        with suppress(StoreError):
            process = this_process(backend.run(), None)
            processes.show(database, process, backend.is_alive)
    try:
        yield
    finally:
        with _lock:
            _threads[key] -= 1
            if not _threads[key]:
                with suppress(StoreError):  # a process without a lock is shown as gone
                    processes.forget(database, backend.run())


def this_process(run: str, lease: float | None) -> Process:
    """Return the row of this process, which has plain workers."""
    version: str = import_module("gigq").__version__  # which imports this module
    return Process(run, "worker", socket.gethostname(), os.getpid(), version, lease)


_lock = threading.Lock()
_threads: Counter[tuple[int, str]] = Counter()
"""Number of worker threads by process, since a forked child inherits them, and file."""
