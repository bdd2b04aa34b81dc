"""Resource usage of one job: time, CPU time and peak memory."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from typing import NamedTuple

_SLACK = 1024 * 1024
_KIBI = 1024


class Usage(NamedTuple):
    """The resource usage of a job.

    Attributes:
        wall_time: from its first line to its last, in seconds.
        cpu_time: of this process and its reaped children, in seconds.
        peak: the most memory that its processes were measured to use, in bytes.
    """

    wall_time: float
    cpu_time: float
    peak: int


class UsageMeter:
    """Measurement of the resource usage of jobs, one after the other.

    The kernel keeps one memory peak for a process. It is reset to the present use only after a job
    that has raised it, because the reset takes time.

    Attributes:
        resident: the memory in bytes that this process used after its last job, at most.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._cpu = 0.0
        self._children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.resident = _reset_peak()

    def begin(self, now: float) -> float:
        """Begin the measurement of a job.

        Args:
            now: the time, in seconds of the monotonic clock.

        Returns:
            The CPU time in seconds used so far, including that of reaped children.
        """
        self._began = now
        self._cpu = time.process_time() + _cpu(self._children)
        return self._cpu

    def end(self, seen: int) -> Usage:
        """End the measurement and return the job's usage.

        Args:
            seen: the most memory in bytes that the supervisor measured for its process tree.
        """
        own = resource.getrusage(resource.RUSAGE_SELF)
        before, children = self._children, resource.getrusage(resource.RUSAGE_CHILDREN)
        self._children = children
        peak = own.ru_maxrss * _KIBI
        if peak > self.resident + _SLACK:
            self.resident = _reset_peak()
        if children.ru_maxrss > before.ru_maxrss:
            seen = max(seen, children.ru_maxrss * _KIBI)
        return Usage(
            time.monotonic() - self._began,
            max(0.0, _cpu(own) + _cpu(children) - self._cpu),
            max(peak, seen),
        )


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _reset_peak() -> int:
    """Reset the peak of memory to the present use, where possible; return it in bytes."""
    # Without a free descriptor, or on a kernel without this file, the peak stays.
    with suppress(OSError):
        control = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(control, b"5")
        finally:
            os.close(control)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBI
