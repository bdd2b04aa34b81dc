"""Ends the processes that a failed job has left behind: another attempt may begin soon."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gigqd import exits, logs
from gigqd.treekill import TreeKill

if TYPE_CHECKING:
    from gigqd.tag import Tag

log = logs.get_logger("gigqd.worker")

_GONE_WITHIN = 5.0


def end_leftovers(tag: Tag) -> bool:
    """Kill every process below this worker, or die and leave it to the supervisor.

    Args:
        tag: the worker's own, which its children inherit.

    Returns:
        Whether there were any. A pool, or a server of `multiprocessing` or another library, may
        have been one of them, and this process still counts on it.
    """
    treekill = TreeKill(os.getpid(), tag.is_on)
    deadline = time.monotonic() + _GONE_WITHIN
    while not treekill.step():
        if time.monotonic() > deadline:
            log.error("leftovers_survive", denied=sorted(treekill.denied))
            os._exit(exits.WORKER_RESIDUE)
    if treekill.killed:
        log.warning("job_leftovers_killed", killed=treekill.killed)
    return bool(treekill.killed)
