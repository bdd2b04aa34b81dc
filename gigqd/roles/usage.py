"""What one job has used: time, processor time, and memory at its highest."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from typing import NamedTuple

_SLACK = 1024 * 1024
_KIBI = 1024


class Usage(NamedTuple):
    """What a job has used.

    Attributes:
        wall_time: from its first line to its last, in seconds.
        cpu_time: of this process and of the children that it has waited for, in seconds.
        peak: the most memory that its processes are known to have used, in bytes.
    """

    wall_time: float
    cpu_time: float
    peak: int


class Meter:
    """Measures the jobs of one process, one after the other.

    The kernel keeps one high-water mark of memory for the whole life of a process. It is lowered
    to what is in use now only after a job that has raised it: the others pay nothing for it.

    Attributes:
        resident: the memory in bytes that this process used after its last job, at most.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._cpu = 0.0
        self._children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.resident = _lower_the_mark()

    def begin(self, now: float) -> float:
        """A job begins.

        Args:
            now: the time, in seconds of the monotonic clock.

        Returns:
            The CPU time in seconds that has been used so far, waited-for children included.
        """
        self._began = now
        self._cpu = time.process_time() + _cpu(self._children)
        return self._cpu

    def end(self, seen: int) -> Usage:
        """The job is over.

        Args:
            seen: the most memory in bytes that others have seen its process tree use.
        """
        own = resource.getrusage(resource.RUSAGE_SELF)
        before, children = self._children, resource.getrusage(resource.RUSAGE_CHILDREN)
        self._children = children
        peak = own.ru_maxrss * _KIBI
        if peak > self.resident + _SLACK:
            self.resident = _lower_the_mark()
        if children.ru_maxrss > before.ru_maxrss:
            seen = max(seen, children.ru_maxrss * _KIBI)
        return Usage(
            time.monotonic() - self._began,
            max(0.0, _cpu(own) + _cpu(children) - self._cpu),
            max(peak, seen),
        )


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _lower_the_mark() -> int:
    """Set the high-water mark to what is in use now, where the kernel can; the mark in bytes."""
    # Without descriptors left, or on a kernel built without it, the mark stays where it is.
    with suppress(OSError):
        control = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(control, b"5")
        finally:
            os.close(control)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBI
