"""The kinds of runs: a run names the process that executes a job, as `gigqd:…` or `worker:…`."""

from __future__ import annotations


def is_of_plain_worker(run: str | None) -> bool:
    """Return True for a plain worker's run, on a file or in memory, and for an unknown one.

    Args:
        run: the run of an execution; None where foreign SQL has started it.
    """
    return run is None or run.startswith(("worker:", "memory:"))
