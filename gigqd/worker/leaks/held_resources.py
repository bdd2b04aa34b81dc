"""Leaked threads, child processes and descriptors, which the worker cannot remove."""

from __future__ import annotations

import math
import os
import resource
import sys
import threading
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gigqd.linux import syscalls
from gigqd.worker.leaks.growth import GrowthCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SPARE_THREADS = 16
_SPARE_DESCRIPTORS = 32
_MOST_IN_USE = 0.75
_CLOSED = "a descriptor of the worker itself, which the job has closed"


class Threads:
    """The threads of this process, including those that Python does not know.

    Native threads, daemon threads and idle threads of a `concurrent.futures` pool are accepted, but
    their number must not grow with each job. Any other thread still works and is a leak.
    """

    kind = "threads"

    def __init__(self) -> None:
        self._folder = os.open("/proc/self/task", os.O_PATH | os.O_CLOEXEC)
        self._growth = GrowthCheck(_SPARE_THREADS)
        self.accept()

    def count(self) -> float:
        """Return the number of threads plus two: the links of the kernel's folder."""
        try:
            return os.fstat(self._folder).st_nlink
        except OSError:  # the job has closed a descriptor of the worker
            return math.inf

    def has_changed(self) -> bool:
        """Return True when `left` must be called."""
        try:
            return os.fstat(self._folder).st_nlink != self._last
        except OSError:
            return True

    def left(self) -> list[str]:
        """Describe the leaked threads."""
        if self.count() == math.inf:
            return [_CLOSED]
        new = [thread for thread in threading.enumerate() if thread not in self._known]
        working = [thread for thread in new if not thread.daemon and not _is_idle_in_a_pool(thread)]
        if working:
            return [_described(thread) for thread in working]
        if not self._growth.is_leak(self.count()):
            return []
        native = self.count() - 2 - threading.active_count()
        unknown = [f"{native:g} threads that Python does not know"] if native > 0 else []
        return [*map(_described, new), *unknown] or ["threads"]

    def note(self) -> None:
        """Accept the present state after a job."""
        self._growth.note(self.count())
        self._remember()

    def accept(self) -> None:
        """Accept the present state before a job."""
        self._growth.allow(self.count() - self._growth.highest)
        self._remember()

    def snapshot(self) -> tuple[float, set[threading.Thread]]:
        """Return the present threads, during a job."""
        return self.count(), set(threading.enumerate())

    def accept_since(self, snapshot: tuple[float, set[threading.Thread]]) -> None:
        """Accept what an import has started."""
        count, known = snapshot
        self._growth.allow(self.count() - count)
        self._known |= set(threading.enumerate()) - known

    def _remember(self) -> None:
        self._last = self.count()
        self._known = set(threading.enumerate())


class Descriptors:
    """The open descriptors of this process, whose number must not grow with each job.

    Args:
        number_after_job: returns the number after the job if it is known, or 0.
    """

    kind = "descriptors"

    def __init__(self, number_after_job: Callable[[], int]) -> None:
        self._number_after_job = number_after_job
        self._folder = os.open("/proc/self/fd", os.O_PATH | os.O_CLOEXEC)
        self._growth = GrowthCheck(_SPARE_DESCRIPTORS)
        self.accept()

    def count(self) -> float:
        """Return the number of open descriptors; kernels before 6.2 show it only in a listing."""
        try:
            size = os.fstat(self._folder).st_size
        except OSError:  # the job has closed a descriptor of the worker
            return math.inf
        return size or len(_numbers())

    def has_changed(self) -> bool:
        """Return True when `left` must be called."""
        return (self._number_after_job() or self.count()) > self._growth.highest

    def left(self) -> list[str]:
        """Describe the leaked descriptors."""
        count = self.count()
        if count == math.inf:
            return [_CLOSED]
        scarce = count > _MOST_IN_USE * resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if not scarce and not self._growth.is_leak(count):
            return []
        return [_file_of(number) for number in sorted(_numbers() - self._known)]

    def note(self) -> None:
        """Accept the present state after a job."""
        self._growth.note(self.count())
        self._known = _numbers()

    def accept(self) -> None:
        """Accept the present state before a job."""
        self._growth.allow(self.count() - self._growth.highest)
        self._known = _numbers()

    def snapshot(self) -> float:
        """Return the present number, during a job."""
        return self.count()

    def accept_since(self, snapshot: float) -> None:
        """Accept the descriptors that an import has opened."""
        self._growth.allow(self.count() - snapshot)


class Children:
    """The child processes: those that imports started may stay, those of a job not."""

    kind = "children"

    def __init__(self) -> None:
        self._known: set[int] = set()
        self.accept()

    def has_changed(self) -> bool:
        """Return True when `left` must be called."""
        return _has_children() and not set(_children()) <= self._known

    def left(self) -> list[str]:
        """Reap finished children and describe the leaked ones."""
        new = set(_children()) - self._known - _helpers()
        return [_command_of(pid) for pid in sorted(new) if not _reaped(pid)]

    def note(self) -> None:
        """Accept the present state after a job."""
        self._known = set(_children())

    accept = note

    def snapshot(self) -> set[int]:
        """Return the present children, during a job."""
        return set(_children())

    def accept_since(self, snapshot: set[int]) -> None:
        """Accept what an import has started."""
        self._known |= set(_children()) - snapshot


def _is_idle_in_a_pool(thread: threading.Thread) -> bool:
    """Return True for a thread of `concurrent.futures` that waits for work.

    Its innermost Python frame is then the loop itself.
    """
    pools = sys.modules.get("concurrent.futures.thread")
    loop: Any = getattr(pools, "_worker", None)  # None also while another thread imports it
    frame = sys._current_frames().get(thread.ident or 0)
    return loop is not None and frame is not None and frame.f_code is loop.__code__


def _described(thread: threading.Thread) -> str:
    target: Any = getattr(thread, "_target", None) or type(thread).run
    module = getattr(target, "__module__", "?")
    name = getattr(target, "__qualname__", type(target).__qualname__)
    kind = "daemon thread" if thread.daemon else "thread"
    return f"the {kind} {thread.name!r} that runs {module}.{name}"


def _numbers() -> set[int]:
    """Return the open descriptors without that of the listing, whose number becomes free again."""
    with suppress(OSError):  # no descriptor is left for the listing itself
        listed = syscalls.open_descriptors()
        return {number for number in listed if os.path.lexists(f"/proc/self/fd/{number}")}
    return set()


def _file_of(number: int) -> str:
    try:
        return f"descriptor {number} ({os.readlink(f'/proc/self/fd/{number}')})"  # noqa: PTH115
    except OSError:  # another thread has closed it
        return f"descriptor {number}"


def _has_children() -> bool:
    """Return True when there is a child, alive or not reaped."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> Iterable[int]:
    return syscalls.own_children() if _has_children() else ()


def _helpers() -> set[int]:
    """Return the resource trackers of multiprocessing and loky.

    They clean up after this process has ended and run no code of a job.
    """
    modules: list[Any] = [
        module for name, module in sys.modules.items() if name.endswith(".resource_tracker")
    ]
    trackers = [getattr(module, "_resource_tracker", None) for module in modules]
    return {getattr(tracker, "_pid", None) or 0 for tracker in trackers}


def _reaped(pid: int) -> bool:
    """Reap a child that has ended, since its job cannot; return True when it is gone."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def _command_of(pid: int) -> str:
    """Describe a process without its arguments, which may be secret."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - a kernel file
            words = os.fsdecode(file.read()).split("\0")
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({' '.join(_without_secrets(words))})"


def _without_secrets(words: list[str]) -> Iterator[str]:
    yield words[0]
    if PurePath(words[0]).name.startswith("python"):
        yield from words[1:3] if words[1:2] == ["-m"] else []
