"""Safe signalling: a signal reaches the process that was seen before, and no other.

A process id may have been given to another process since. So a pidfd is opened first, which stays
with the process that has the id then, and after that the start time is read again and compared.
psutil compares it too, but then signals by id. Processes that are never a job's are refused.
"""

from __future__ import annotations

import errno
import os
import signal
from enum import Enum, auto

from gigqd import logs
from gigqd.linux import syscalls

log = logs.get_logger(__name__)

# No system call (an old kernel, gVisor), one that a seccomp filter denies, or no descriptor left.
_NO_PIDFD = {errno.ENOSYS, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENODEV}


class Sent(Enum):
    """What became of a signal."""

    SENT = auto()
    GONE = auto()
    DENIED = auto()
    REFUSED = auto()


def send(identity: tuple[int, int], number: signal.Signals) -> Sent:
    """Signal a process, if it still is the one that was seen.

    Without pidfds the start time is compared right before the signal is sent by number. What is
    left to chance then is that within these microseconds the process ends, is reaped, and all other
    numbers are used up until its own is given away again.

    Args:
        identity: the process's id and when it started, in clock ticks since boot.
        number: the signal.

    Returns:
        Whether it was sent; the process may be gone, belong to another user, or be one that is
        never signalled.
    """
    pid, start_ticks = identity
    if pid <= 1 or pid in (os.getpid(), os.getpgrp()):
        return _refuse(pid)
    try:
        descriptor = _open(pid)
        try:
            process = syscalls.read_process(pid)
            if process.start_ticks != start_ticks:
                return Sent.GONE
            if process.is_kernel_thread:
                return _refuse(pid)
            _signal(pid, descriptor, number)
        finally:
            if descriptor is not None:
                os.close(descriptor)
    except ProcessLookupError:
        return Sent.GONE
    except PermissionError:
        return Sent.DENIED
    return Sent.SENT


def send_to_group(leader: int, number: signal.Signals) -> Sent:
    """Signal the group of a child that has not been reaped, which keeps the number from reuse.

    Returns:
        Whether it was sent; GONE also when the child leads no group.
    """
    if leader <= 1 or leader in (os.getpid(), os.getpgrp()):
        return _refuse(-leader)
    try:
        if os.getpgid(leader) != leader:
            return Sent.GONE
        os.killpg(leader, number)
    except ProcessLookupError:
        return Sent.GONE
    except PermissionError:
        return Sent.DENIED
    return Sent.SENT


def _refuse(target: int) -> Sent:
    log.error("kill_refused", target=target)
    return Sent.REFUSED


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PIDFD:
            return None
        raise


def _signal(pid: int, descriptor: int | None, number: signal.Signals) -> None:
    if descriptor is not None:
        try:
            signal.pidfd_send_signal(descriptor, number)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
        else:
            return
    os.kill(pid, number)
