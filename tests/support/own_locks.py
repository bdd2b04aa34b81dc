"""The locks with which the process of the tests shows that it runs jobs."""

from __future__ import annotations

import os

from gigq.store.sqlite.processes import run_locks


def release() -> None:
    """Close the lock files of this process, which it would keep until its end.

    It has one for each database in which it ran jobs: hundreds in a run of pytest. Each daemon
    reads the list of all locks when it starts.
    """
    for file in run_locks._own.files.values():
        os.close(file.descriptor)
    run_locks._own.forget()
    run_locks._worker_run.cache_clear()
