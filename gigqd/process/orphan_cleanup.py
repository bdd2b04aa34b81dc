"""Cleanup of processes that a killed daemon has left, before a new one starts workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigq.store.sqlite.processes import run_locks
from gigqd.linux import syscalls
from gigqd.process.kill_tree import TreeKill
from gigqd.process.process_tag import is_of_home, is_of_run, tag_of

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.process.process_tag import ProcessTags

_PAUSE = 0.01


def kill_orphans(database: Path, home: str, *, within: float = 10.0) -> int:
    """Kill every process that belongs to a dead run on this database, and wait until it is gone.

    A run is dead when the kernel no longer holds its lock. Processes of live runs, of other daemons
    on the same database, are not killed.

    Args:
        database: the queue's file.
        home: the id of the database in tags.
        within: the longest wait, in seconds.

    Returns:
        The number of processes that were killed.

    Raises:
        TimeoutError: a process survived SIGKILL for that long.
    """
    treekill = tree_kill_of_dead_runs(database, home)
    deadline = time.monotonic() + within
    while not treekill.step():
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of a dead run survive SIGKILL: {treekill.denied or ''}")
        time.sleep(_PAUSE)
    return treekill.killed


def tree_kill_of_dead_runs(database: Path, home: str) -> TreeKill:
    """Return the kill of the processes of all dead runs on a database, to be done in steps.

    Args:
        database: the queue's file.
        home: the id of the database in tags.
    """

    def is_alive(run: str) -> bool:
        return run_locks.is_alive(database, run)

    def is_of_dead_run(tags: ProcessTags) -> bool:
        if tags.tag is not None:
            return tags.tag.home == home and not is_alive(tags.tag.run)
        if tags.rlimit_tag is None or not is_of_home(tags.rlimit_tag, home):
            return False
        # An rlimit tag has only a digest of the run: spare a process that may be of a live run.
        alive = (run for run in _tagged_runs(home) if is_alive(run))
        return not any(is_of_run(tags.rlimit_tag, run) for run in alive)

    return TreeKill(None, is_of_dead_run)


def tree_kill_of_run(run: str, home: str) -> TreeKill:
    """Return the kill of the processes of one dead run, to be done in steps.

    Args:
        run: the run.
        home: the id of its database in tags.
    """

    def is_of_dead_run(tags: ProcessTags) -> bool:
        if tags.tag is not None:
            return tags.tag.home == home and tags.tag.run == run
        if tags.rlimit_tag is None or not (
            is_of_home(tags.rlimit_tag, home) and is_of_run(tags.rlimit_tag, run)
        ):
            return False
        # Of two runs with the same rlimit tag the other one may be alive.
        others = _tagged_runs(home) - {run}
        return not any(is_of_run(tags.rlimit_tag, other) for other in others)

    return TreeKill(None, is_of_dead_run)


def _tagged_runs(home: str) -> set[str]:
    tags = (tag_of(pid) for pid in syscalls.all_pids())
    return {tag.run for tag in tags if tag is not None and tag.home == home}
