"""Processes that a test forks by itself, and the end of all that are left of them."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.waiting import wait_until

from gigqd.linux import syscalls
from gigqd.process import reap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def forked(body: Callable[[], object]) -> int:
    """Fork a process that runs `body`, then waits until it is killed; its id."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
            signal.pause()
        finally:
            os._exit(0)
    return pid


@contextmanager
def orphans_adopted() -> Iterator[None]:
    """Adopt what descends from this process, and kill what is left of it at the end."""
    syscalls.become_subreaper()
    before = set(syscalls.own_children())
    yield
    while left := [pid for pid in syscalls.own_children() if pid not in before]:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: reap.exit_record_of(pid))
            reap.reap(pid)
