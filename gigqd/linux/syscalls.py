"""Linux system calls and /proc files that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from gigqd import exit_codes

# Numbers of prctl(2), from <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

# Fields of /proc/<pid>/stat counted behind the command's closing bracket; see proc(5).
_STAT_STATE = 0
_STAT_PPID = 1
_STAT_GROUP = 2
_STAT_SESSION = 3
_STAT_FLAGS = 6
_STAT_CPU = slice(11, 15)  # own user and system time, and those of children waited for
_STAT_START_TICKS = 19
_STAT_RSS = 21
_STAT_ENV_START = 47
_STAT_ENV_END = 48
_PF_KTHREAD = 0x00200000  # <linux/sched.h>

_PAGE = os.sysconf("SC_PAGESIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_STAT_BYTES = 4096
_HAS_CHILDREN_LISTS = os.path.exists("/proc/thread-self/children")  # noqa: PTH110 - once

# Modes of fallocate(2), from <linux/falloc.h>.
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2

_CLOCK_MONOTONIC = 1  # <time.h>

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> bool:
    """Let orphans below this process become its children instead of init's.

    Returns:
        False where the kernel cannot do that: orphans must then be searched among all processes.
    """
    with suppress(OSError):
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return is_subreaper()


def is_subreaper() -> bool:
    """Return True when orphans below this process become its children."""
    answer = ctypes.c_int(0)
    with suppress(OSError):
        _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    return bool(answer.value) or os.getpid() == 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel to SIGKILL this process when its parent dies; exit if the parent is dead.

    Must be called after any change of user, which clears the request.

    Args:
        parent: the process id that the parent had when it forked.
    """
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(exit_codes.WORKER_PARENT_GONE)


def name_process(name: str) -> None:
    """Set the name that `ps` and `top` show; the kernel keeps the first 15 bytes."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()))


def _prctl(option: int, value: object) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise _os_error(f"prctl({option})")


def signal_main_thread(pid: int, number: int) -> None:
    """Signal the main thread of a process; tgkill(2).

    Only the main thread runs Python's signal handlers. A signal to the process may be taken by
    another thread, and then it does not interrupt a call of the main thread. Where the C library
    lacks tgkill, the whole process is signalled.

    Raises:
        OSError: the signal was not sent; `ProcessLookupError` when there is no such thread.
    """
    tgkill = getattr(_libc, "tgkill", None)
    if tgkill is None:
        os.kill(pid, number)
    elif tgkill(pid, pid, int(number)) != 0:
        raise _os_error(f"tgkill({pid})")


# psutil needs 128 µs for what one read here returns in 16, without group and session. It lists
# children by reading every process of the host: 22 ms with 500, where the kernel's list takes
# 0.03. It raises where /proc hides one of them. See docs/decisions/0045.


def stat_fields(pid: int | str) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the command name.

    Raises:
        ProcessLookupError: there is no such process, or /proc hides it as another account's.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        raise ProcessLookupError(pid) from None
    try:
        text = os.read(descriptor, _STAT_BYTES)
    finally:
        os.close(descriptor)
    return text[text.rindex(b")") + 1 :].decode().split()


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; with the pid, its identity."""
    return int(stat_fields(pid)[_STAT_START_TICKS])


class Process(NamedTuple):
    """A process as one read of /proc shows it.

    Attributes:
        pid: its process id.
        parent: its parent's process id.
        group: its process group id.
        session: its session id.
        start_ticks: when it started, in clock ticks since boot.
        state: the kernel's letter for its state, as in ps(1).
        memory: its resident set size (RSS), in bytes.
        cpu: the CPU time of the process and of the children it has waited for, in seconds.
        is_kernel_thread: True for a thread of the kernel, which takes no signal.
    """

    pid: int
    parent: int
    group: int
    session: int
    start_ticks: int
    state: str
    memory: int
    cpu: float
    is_kernel_thread: bool

    @property
    def identity(self) -> tuple[int, int]:
        """Its pid and start time: no other process has both."""
        return self.pid, self.start_ticks

    @property
    def alive(self) -> bool:
        """True until it ends; a process that ended may wait to be reaped."""
        return self.state not in ("Z", "X")

    @property
    def stopped(self) -> bool:
        """True while a signal or a debugger stops it."""
        return self.state in ("T", "t")


def read_process(pid: int) -> Process:
    """Read the state of a process.

    Raises:
        ProcessLookupError: there is no such process.
    """
    fields = stat_fields(pid)
    return Process(
        pid,
        parent=int(fields[_STAT_PPID]),
        group=int(fields[_STAT_GROUP]),
        session=int(fields[_STAT_SESSION]),
        start_ticks=int(fields[_STAT_START_TICKS]),
        state=fields[_STAT_STATE],
        memory=int(fields[_STAT_RSS]) * _PAGE,
        cpu=sum(map(int, fields[_STAT_CPU])) / _TICKS,
        is_kernel_thread=bool(int(fields[_STAT_FLAGS]) & _PF_KTHREAD),
    )


def own_children() -> list[int]:
    """Return the process ids of this process's children, adopted ones and zombies included."""
    return children_of(os.getpid())


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children, zombies included; empty when it ended.

    The list of a running process may lack a child that starts or ends during the read; that of
    this process and of a stopped one is complete.
    """
    if not _HAS_CHILDREN_LISTS:
        return _children_by_parent(pid)
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listing:  # noqa: PTH123
                found += map(int, listing.read().split())
    except (FileNotFoundError, ProcessLookupError):  # the process, or one of its threads, ended
        return found
    return found


def is_hung_up(descriptor: int) -> bool:
    """Return True once the other side of a terminal or connection is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def open_descriptors() -> list[int]:
    """Return the descriptors of this process, with that of the listing itself."""
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers


def all_pids() -> list[int]:
    """Return every process id that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - hot


def _children_by_parent(parent: int) -> list[int]:
    """Return the children where the kernel lists none (no CONFIG_PROC_CHILDREN)."""
    return [pid for pid in all_pids() if _parent(pid) == parent]


def _parent(pid: int) -> int:
    try:
        return int(stat_fields(pid)[_STAT_PPID])
    except ProcessLookupError:
        return 0


def free_front(descriptor: int, keep: int) -> None:
    """Release the memory of all but the last bytes of a file in memory.

    A hole is punched: the file keeps its size and its writers their offsets, so a write during
    the call is not lost. The hole reads as zero bytes; up to a page before the kept bytes stays.

    Args:
        descriptor: the file, open for writing.
        keep: how many bytes at its end stay, at least.

    Raises:
        OSError: the file cannot have holes.
    """
    gone = (os.fstat(descriptor).st_size - keep) // _PAGE * _PAGE
    if gone > 0:
        _punch(descriptor, gone)


def _punch(descriptor: int, length: int) -> None:
    mode = _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE
    if _libc.fallocate(descriptor, mode, ctypes.c_int64(0), ctypes.c_int64(length)) != 0:
        raise _os_error("fallocate")


def release_memory() -> None:
    """Return freed memory of this process to the system, where the C library can do that."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


class _TimerSetting(ctypes.Structure):
    """`struct itimerspec`: seconds and nanoseconds of the interval, then of the time left."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every", "every_ns", "left", "left_ns"))


def timer() -> int:
    """Return a descriptor that becomes readable when its time is over; timerfd(2).

    Raises:
        OSError: too many files are open.
    """
    descriptor = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise _os_error("timerfd_create")
    return int(descriptor)


def start_timer(descriptor: int, seconds: float) -> bool:
    """Start a timer unless it runs. Return False when the descriptor is not a timer's."""
    setting = _TimerSetting()
    if _libc.timerfd_gettime(descriptor, ctypes.byref(setting)) != 0:
        return False
    if setting.left == setting.left_ns == 0:
        setting.left, setting.left_ns = divmod(int(seconds * 1e9), 10**9)
        _libc.timerfd_settime(descriptor, 0, ctypes.byref(setting), None)
    return True


def _os_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def rewrite_environment_block(text: bytes) -> bool:
    """Replace what /proc/<this process>/environ shows, so that forked children inherit it.

    Setting a variable changes only the process's own list; the kernel shows the block that exec
    wrote. A child that never calls exec would have no process tag, so the block is overwritten in
    place; nothing in this process reads it any more.

    Args:
        text: what to show, without its closing zero byte.

    Returns:
        False when the block is too small to hold the text; nothing is changed then.
    """
    start, end = _environment_block()
    if end - start <= len(text):
        return False
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))
    return True


def has_proc() -> bool:
    """Return True when /proc is mounted, which the root of an image under construction may lack."""
    return os.access("/proc/self/stat", os.R_OK)


def environment_room() -> int:
    """Return how many bytes `rewrite_environment_block` can use in this process."""
    start, end = _environment_block()
    return end - start


@cache
def _environment_block() -> tuple[int, int]:
    """Return its first address and its end, after moving every variable to other memory."""
    for name, value in os.environb.items():
        os.putenv(name, value)
    fields = stat_fields("self")
    return int(fields[_STAT_ENV_START]), int(fields[_STAT_ENV_END])
