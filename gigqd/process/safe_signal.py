"""Safe signalling: a signal reaches the process that was read before, and no other.

The process id may have been reused since. So a pidfd is opened first, which refers to one process
for good, and then the start time is read again and compared. psutil compares it too, but then
signals by id. Processes that cannot belong to a job are refused.
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
    """The result of sending a signal."""

    SENT = auto()
    GONE = auto()
    DENIED = auto()
    REFUSED = auto()


def send(identity: tuple[int, int], number: signal.Signals) -> Sent:
    """Signal a process, if it is still the one that was read.

    Without pidfds the start time is compared right before the signal is sent by id. The remaining
    risk is that within these microseconds the process ends, is reaped, and all other ids are used
    until its own is reused.

    Args:
        identity: the process id and the start time in clock ticks since boot.
        number: the signal.

    Returns:
        The result: the process may be gone, belong to another user, or be refused.
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
    """Signal the group of a child that is not reaped, so that its id cannot be reused.

    Returns:
        The result; GONE also when the child leads no group.
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
