"""Reaping: find out whether and how a child ended, then collect it.

A dead child is looked at without being reaped first: as long as it is a zombie, its process id
and its group belong to nobody else, so what is left of its tree can be killed safely. psutil waits
by reaping, and reports no resource usage.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from gigqd.ipc.exit_record import ExitRecord

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
    return ExitRecord(signal=_signal_name(info.si_status))


def reap(pid: int) -> struct_rusage | None:
    """Collect a dead child; its process id is free from here on.

    Returns:
        What the child, and those of its children that it had waited for, have used; None when it
        was collected elsewhere.
    """
    try:
        _, _, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return usage


def reap_adopted(children: list[int], own: set[int]) -> int:
    """Collect the dead among the orphans that this process has adopted.

    Args:
        children: every child of this process.
        own: the children that sit in slots; they are collected by their slot, never here.

    Returns:
        How many were collected.
    """
    collected = 0
    for pid in children:
        if pid not in own and exit_record_of(pid) is not None:
            reap(pid)
            collected += 1
    return collected


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
