"""Seeing that a child has died, naming how, and collecting it.

A dead child is looked at without being reaped first: as long as it is a zombie, its process id
and its group belong to nobody else, so what is left of its tree can be killed safely.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigqd import exits

if TYPE_CHECKING:
    from resource import struct_rusage


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended: by an exit code, or by a signal; both None when nobody can say."""

    pid: int
    exit_code: int | None = None
    signal: str | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {self.signal}"
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}"
        return "ended in a way that could not be seen"

    @property
    def as_asked(self) -> bool:
        """Whether the child left by itself, having been told to or being due for it."""
        return self.exit_code == exits.WORKER_DONE


def look(pid: int) -> Death | None:
    """How a child died, without reaping it; None while it lives."""
    try:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # somebody else reaped it: unknown is not success
        return Death(pid)
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return Death(pid, exit_code=info.si_status)
    return Death(pid, signal=_signal_name(info.si_status))


def reap(pid: int) -> struct_rusage | None:
    """Collect a dead child; its process id is free from here on.

    Returns:
        What it, and those of its children that it had waited for, have used; None when somebody
        else has collected it.
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
        if pid not in own and look(pid) is not None:
            reap(pid)
            collected += 1
    return collected


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
