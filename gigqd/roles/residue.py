"""What a job leaves behind in its process, which the next job must not see."""

from __future__ import annotations

import gc
import locale
import math
import os
import resource
import signal
import socket
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_GONE_WITHIN = 0.1
_LOOK_AGAIN = 0.005
_SPARE_DESCRIPTORS = 32
_SIGNALS = range(1, signal.SIGRTMIN)
_TIMERS = (int(signal.ITIMER_REAL), int(signal.ITIMER_VIRTUAL), int(signal.ITIMER_PROF))
_LIMITS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CORE,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)

NAMES = (
    *("threads", "children", "descriptors", "handlers", "mask", "timers", "directory", "umask"),
    *("environment", "limits", "priority", "locale", "path", "streams", "interpreter"),
)

# What `signal` itself offers makes an enumeration of every answer and takes 15 times as long.
_signal: Any = import_module("_signal")


class Residue:
    """Compares the state of this process with what it was before the job.

    What a module does when it is imported belongs to the application and not to the job that
    happened to be the first to need it: after an import, `accept` takes the state for the normal
    one. Of descriptors a few more are no residue: a pool of connections may open some.

    Args:
        is_listening: whether the worker still hears its signals.
        allowed: names of what jobs may leave behind.
    """

    def __init__(self, is_listening: Callable[[], bool], allowed: Collection[str] = ()) -> None:
        self._is_listening = is_listening
        self._allowed = frozenset(allowed)
        self._tasks = os.open("/proc/self/task", os.O_PATH | os.O_CLOEXEC)
        self._files = os.open("/proc/self/fd", os.O_PATH | os.O_CLOEXEC)
        self.accept()

    def accept(self) -> None:
        """Take the state as it is now for the normal one."""
        self._threads = _threads(self._tasks)
        self._descriptors = _descriptors(self._files) + _SPARE_DESCRIPTORS
        self._normal = self._state()

    def left(self) -> list[str]:
        """The names of what is not as it was, once what was going away has had a moment for it."""
        if self._state() == self._normal:
            return []
        until = time.monotonic() + _GONE_WITHIN
        while (names := self._differences()) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN)
        return names

    def _state(self) -> tuple[object, ...]:
        """What is looked at, in the order of `NAMES`. After every job: so no call too many."""
        return (
            _threads(self._tasks) > self._threads,
            _has_children(),
            _descriptors(self._files) > self._descriptors,
            (self._is_listening(), *map(_signal.getsignal, _SIGNALS)),
            _signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            (*map(_signal.getitimer, _TIMERS),),
            _directory(),
            _umask(),
            _environment(),
            (*map(resource.getrlimit, _LIMITS),),
            os.getpriority(os.PRIO_PROCESS, 0),
            locale.setlocale(locale.LC_ALL),
            sys.path.copy(),
            (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
            _interpreter(),
        )

    def _differences(self) -> list[str]:
        now = self._state()
        names = [
            name
            for name, before, after in zip(NAMES, self._normal, now, strict=True)
            if before != after and name not in self._allowed
        ]
        if not names:
            self._normal = now  # what differs is allowed, and the next look is a quick one again
        return names


def _threads(folder: int) -> float:
    """How many threads the kernel sees, and two; many libraries start some that Python does not."""
    try:
        return os.fstat(folder).st_nlink
    except OSError:  # the job has closed what is not its own
        return math.inf


def _has_children() -> bool:
    """Whether there is a child, alive or not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descriptors(folder: int) -> float:
    """How many descriptors are open; kernels before 6.2 do not tell without listing them."""
    try:
        size = os.fstat(folder).st_size
    except OSError:  # the job has closed what is not its own
        return math.inf
    return size or len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers only


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - after every job
    except OSError:  # somebody has removed it
        return ""


def _umask() -> int:
    """The mask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _environment() -> dict[bytes, bytes]:
    """The variables as they are kept; to decode them takes fifty times as long."""
    kept: dict[bytes, bytes] = vars(os.environ)["_data"]
    return kept.copy()


def _interpreter() -> tuple[object, ...]:
    return (
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        sys.gettrace(),
        sys.getprofile(),
        gc.isenabled(),
        socket.getdefaulttimeout(),
    )
