"""Processes of this run that may be signalled, each held by a descriptor and never by number alone.

A victim is made from a number, then recognised, and only then signalled: between the two a
number cannot change its meaning, because the descriptor was opened first.
"""

from __future__ import annotations

import os
import re
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd.linux import syscalls
from gigqd.process.process_tag import tag_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGKILL = 1 << (signal.SIGKILL - 1)
_STAT_FLAGS = 6
_PF_EXITING = 0x4
"""A flag of linux/sched.h, in /proc/PID/stat; see proc(5)."""


class Gone(Exception):  # noqa: N818 - an outcome, not an error
    """There is no such process any more, or it is none of ours."""


class Victim:
    """One process of this run.

    Args:
        pid: its number.
        is_ours: asked once the process is held: whether it belongs to this run.

    Raises:
        Gone: there is no such process, or it does not belong to this run.
    """

    def __init__(self, pid: int, is_ours: Callable[[int], bool]) -> None:
        if pid <= 1 or pid == os.getpid():
            raise Gone(pid)
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            raise Gone(pid) from None
        self.pid = pid
        if not is_ours(pid):
            self.close()
            raise Gone(pid)

    def send(self, number: signal.Signals) -> bool:
        """Signal it; False when it is gone."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return False
        return True

    @property
    def has_ended(self) -> bool:
        """Whether it is dead, reaped or not."""
        return bool(select.select([self._descriptor], [], [], 0)[0])

    @property
    def runs_no_more(self) -> bool:
        """Whether it has ended, or will end before it runs another line of its program.

        On a busy machine the second can last: the kernel has sent SIGKILL, and the process waits
        for a processor to end on.
        """
        return self.has_ended or _is_killed(self.pid)

    def close(self) -> None:
        """Release it."""
        os.close(self._descriptor)


def tagged(homes: set[str]) -> list[int]:
    """Every living process with one of the tags of this run's database."""
    return [pid for pid in syscalls.all_pids() if is_tagged(pid, homes) and _lives(pid)]


def is_tagged(pid: int, homes: set[str]) -> bool:
    """Whether a process is one of the daemon's children, or descends from one."""
    tag = tag_of(pid)
    return tag is not None and tag.home in homes


def _is_killed(pid: int) -> bool:
    """Whether SIGKILL is on its way to a process, or has arrived and the kernel takes it apart."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        flags = int(syscalls.stat_fields(pid)[_STAT_FLAGS])
    except (FileNotFoundError, ProcessLookupError):
        return True
    pending = re.search(r"^SigPnd:\t(\w+)$", status, re.MULTILINE)
    assert pending, status
    return bool(int(pending[1], 16) & _SIGKILL or flags & _PF_EXITING)


def _lives(pid: int) -> bool:
    try:
        return syscalls.read_process(pid).alive
    except ProcessLookupError:
        return False
