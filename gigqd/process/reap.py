"""Reaping: find out whether and how a child ended, then reap it.

The exit of a child is read before it is reaped: while it is a zombie, its process id and its
group cannot be reused, so the rest of its tree can be killed safely. psutil waits by reaping, and
reports no resource usage.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd.ipc.exit_record import ExitRecord
from gigqd.linux import signals

if TYPE_CHECKING:
    from resource import struct_rusage


def exit_record_of(pid: int) -> ExitRecord | None:
    """Return how a child ended, without reaping it; None while it lives."""
    try:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # reaped elsewhere: unknown is not success
        return ExitRecord()
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return ExitRecord(exit_code=info.si_status)
    return ExitRecord(signal=signals.name_of(info.si_status))


def reap(pid: int) -> struct_rusage | None:
    """Reap a dead child; the kernel may then reuse its process id.

    Returns:
        The resource usage of the child and of its reaped children; None when it was reaped
        elsewhere.
    """
    try:
        _, _, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return usage


def reap_adopted(children: list[int], own: set[int]) -> int:
    """Reap the adopted orphans that have ended.

    Args:
        children: every child of this process.
        own: the children in slots; the slot reaps them, never this function.

    Returns:
        The number of orphans that were reaped.
    """
    reaped = 0
    for pid in children:
        if pid not in own and exit_record_of(pid) is not None:
            reap(pid)
            reaped += 1
    return reaped
