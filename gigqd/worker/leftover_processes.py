"""Cleanup of processes that a failed job has left, before another attempt may begin."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gigqd import exit_codes, logs
from gigqd.process.kill_tree import TreeKill

if TYPE_CHECKING:
    from gigqd.process.process_tag import Tag

log = logs.get_logger(__name__)

_GONE_WITHIN = 5.0


def kill_own_descendants(tag: Tag) -> bool:
    """Kill every process below this worker; exit for the supervisor to do it if that fails.

    Args:
        tag: the worker's process tag, which its children inherit.

    Returns:
        True when there were any. One may have been a pool or server of a library such as
        `multiprocessing`, on which this process still relies.
    """
    treekill = TreeKill(os.getpid(), tag.matches)
    deadline = time.monotonic() + _GONE_WITHIN
    while not treekill.step():
        if time.monotonic() > deadline:
            log.error("orphans_survive", denied=sorted(treekill.denied))
            os._exit(exit_codes.WORKER_RESIDUE)
    if treekill.killed:
        log.warning("job_orphans_killed", killed=treekill.killed)
    return bool(treekill.killed)
